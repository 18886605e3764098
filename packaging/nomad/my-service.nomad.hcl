# A worker that may hang, under supervisor, on Nomad.
#
# Which layer does what:
#   supervisor  restarts the command within seconds when it exits with an error, is killed or hangs.
#   restart     Nomad restarts the task on the same node when the supervisor gives up (--max-restarts) or is killed.
#   reschedule  Nomad moves the task to another node when that does not help either.
job "my-service" {
  datacenters = ["dc1"]
  type        = "service"

  group "my-service" {
    count = 2

    # Above --timeout: a new version that hangs at once is found out before it replaces the next one.
    update {
      min_healthy_time = "40s"
    }

    restart {
      attempts = 2
      interval = "10m"
      delay    = "15s"
      # `fail` hands over to `reschedule`; `delay` would stay on this node.
      mode = "fail"
    }

    reschedule {
      delay          = "30s"
      delay_function = "exponential"
      max_delay      = "10m"
      unlimited      = true
    }

    # A script check needs Consul. Nomad's own service discovery knows only checks by TCP and HTTP.
    service {
      name     = "my-service"
      provider = "consul"

      check {
        type     = "script"
        task     = "my-service"
        command  = "supervisor"
        args     = ["--healthcheck", "/run/app/status.json"]
        interval = "10s"
        timeout  = "3s"
      }

      # There is no check_restart on purpose: it would kill the task in the middle of a backoff or of a hang that the
      # supervisor is healing, and lose the backoff and the restart limit with it.
    }

    task "my-service" {
      driver = "docker"
      user   = "65534:65534"

      # Nomad sends SIGINT by default, which the supervisor understands as well. At least two grace periods: one for the
      # command, one for hooks.
      kill_signal  = "SIGTERM"
      kill_timeout = "15s"

      config {
        image           = "my-service:1.0.0"
        entrypoint      = ["supervisor"]
        readonly_rootfs = true
        cap_drop        = ["all"]
        security_opt    = ["no-new-privileges"]

        args = [
          "--max-restarts=5",
          "--max-backoff=60",
          "--backoff-jitter=0.5",
          "--timeout=30",
          "--grace-period=5",
          "--heartbeat-file=/run/app/heartbeat",
          "--status-file=/run/app/status.json",
          "--",
          "python3",
          "/app/service.py",
        ]

        mount {
          type   = "tmpfs"
          target = "/run/app"
        }
      }

      resources {
        cpu    = 100
        memory = 256
      }
    }
  }
}
