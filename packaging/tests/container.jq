# Turns what `runc spec` writes into a container of an image, as `docker run --read-only --cap-drop ALL --tmpfs /run/app`
# would. $image is the image's configuration, $root its unpacked root file system, $cgroup the container's own cgroup.
$image[0] as $image
| (($image.User // "") | if . == "" then "0:0" else . end | split(":") | map(tonumber)) as [$uid, $gid]
| .process.terminal = false
| .process.args = ($image.Entrypoint // []) + ($image.Cmd // [])
| .process.env = ($image.Env // [])
| .process.cwd = (($image.WorkingDir // "") | if . == "" then "/" else . end)
| .process.user = {uid: $uid, gid: $gid}
| .process.capabilities = {}
| .root = {path: $root, readonly: true}
| .mounts += [{
    destination: "/run/app", type: "tmpfs", source: "tmpfs",
    options: ["nosuid", "nodev", "noexec"]
  }]
# Inside of another container, as in CI, neither limits nor these namespaces can be had.
| del(.process.rlimits)
| .linux.namespaces |= map(select(.type != "network" and .type != "cgroup"))
| .linux.cgroupsPath = $cgroup
