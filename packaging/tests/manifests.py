"""Holds the manifests of packaging to the same promises. One line for each check: `ok NAME` or `FAIL NAME: what was seen`.

usage: manifests.py PACKAGING [SUPERVISOR]
"""

import dataclasses
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

import hcl2
import yaml

# What `docker stop` waits, in seconds, where nothing else is said.
DOCKER_STOP_TIMEOUT = 10
DEFAULT_GRACE_PERIOD = 5


@dataclasses.dataclass
class Deployment:
    """One command line of the supervisor in a manifest."""

    name: str
    words: list[str]
    variables: dict[str, str]
    stop_budget: float

    def option(self, name):
        """The value that the supervisor would use, or None."""
        for word, following in zip(self.words, self.words[1:] + [""]):
            if word == "--":
                break
            if word == f"--{name}":
                return following
            if word.startswith(f"--{name}="):
                return word.split("=", 1)[1]
        return self.variables.get("SUPERVISOR_" + name.replace("-", "_").upper())


def seconds(text):
    number, unit = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|)", str(text)).groups()
    return float(number) * (60 if unit == "m" else 1)


def container(packaging):
    """ENTRYPOINT, CMD and ENV of the last stage."""
    text = (packaging / "container/Containerfile").read_text().replace("\\\n", " ")
    last_stage = text[text.rindex("\nFROM ") :]
    instructions = dict(re.findall(r"^(ENTRYPOINT|CMD) (.*)$", last_stage, re.M))
    words = json.loads(instructions["ENTRYPOINT"]) + json.loads(instructions["CMD"])
    environment = " ".join(re.findall(r"^ENV (.*)$", last_stage, re.M))
    variables = dict(pair.split("=", 1) for pair in shlex.split(environment))
    return Deployment("container", words, variables, DOCKER_STOP_TIMEOUT)


def compose(packaging, image):
    """The service, on top of what its image says."""
    (service,) = yaml.safe_load((packaging / "compose/compose.yaml").read_text())["services"].values()
    words = image.words[: image.words.index("--") + 1] + service["command"]
    return Deployment("compose", words, image.variables | service["environment"], seconds(service["stop_grace_period"]))


def kubernetes(packaging):
    for file in sorted((packaging / "kubernetes").glob("*.yaml")):
        pod = yaml.safe_load(file.read_text())["spec"]["template"]["spec"]
        (main,) = pod["containers"]
        yield Deployment(
            f"kubernetes_{file.stem}", main["command"] + main["args"], {}, pod["terminationGracePeriodSeconds"]
        )


def plain(value):
    """python-hcl2 keeps the quotes of strings."""
    match value:
        case dict():
            return {plain(key): plain(item) for key, item in value.items()}
        case list():
            return [plain(item) for item in value]
        case str():
            return value.strip('"')
        case _:
            return value


def nomad(packaging):
    for file in sorted((packaging / "nomad").glob("*.hcl")):
        with file.open() as lines:
            (job,) = plain(hcl2.load(lines))["job"][0].values()
        (group,) = job["group"][0].values()
        (task,) = group["task"][0].values()
        (config,) = task["config"]
        yield Deployment(
            f"nomad_{file.stem.removesuffix('.nomad')}",
            config["entrypoint"] + config["args"],
            {},
            seconds(task["kill_timeout"]),
        )


def systemd(packaging):
    for file in sorted((packaging / "systemd").glob("*.service")):
        settings = re.findall(r"^(\w+)=(.*)$", file.read_text().replace("%t", "/run"), re.M)
        (start,) = (value for key, value in settings if key == "ExecStart")
        (budget,) = (value for key, value in settings if key == "TimeoutStopSec")
        pairs = (pair for key, value in settings if key == "Environment" for pair in shlex.split(value))
        variables = dict(pair.split("=", 1) for pair in pairs)
        yield Deployment(f"systemd_{file.stem}", shlex.split(start), variables, seconds(budget))


def report(name, fault):
    print(f"FAIL {name}: {fault}" if fault else f"ok {name}")


def check_promises(deployment):
    report(
        f"{deployment.name}_starts_the_supervisor",
        None if pathlib.Path(deployment.words[0]).name == "supervisor" else f"it starts {deployment.words[0]}",
    )
    grace = seconds(deployment.option("grace-period") or DEFAULT_GRACE_PERIOD)
    enough = deployment.stop_budget >= 2 * grace
    report(
        f"{deployment.name}_stops_in_time",
        None if enough else f"{deployment.stop_budget:g} s for two grace periods of {grace:g} s",
    )
    ceiling = deployment.option("max-backoff")
    report(f"{deployment.name}_has_a_ceiling", None if ceiling else "no --max-backoff")


def check_accepted(deployment, supervisor):
    """The dry run reads every option, and starts nothing."""
    environment = os.environ | deployment.variables
    run = subprocess.run(
        [supervisor, "--dry-run", *deployment.words[1:]], env=environment, capture_output=True, text=True, timeout=20
    )
    fault = " | ".join((run.stderr or f"exit code {run.returncode}").splitlines())
    report(f"{deployment.name}_is_accepted", fault if run.returncode or run.stderr else None)


def check_metric_names(packaging):
    """The alerts ask for metrics that EVENTS.md knows."""
    known = set(re.findall(r"supervisor_\w+", (packaging / "../cli/EVENTS.md").read_text()))
    asked = set()
    for file in (packaging / "prometheus").glob("*.yaml"):
        asked |= set(re.findall(r"\bsupervisor_\w+", file.read_text()))
    report("alerts_ask_for_known_metrics", ", ".join(sorted(asked - known)) or None)


def main(packaging, supervisor=None):
    packaging = pathlib.Path(packaging)
    image = container(packaging)
    deployments = [image, compose(packaging, image), *kubernetes(packaging), *nomad(packaging), *systemd(packaging)]
    for deployment in deployments:
        check_promises(deployment)
        if supervisor:
            check_accepted(deployment, supervisor)
    if not supervisor:
        print("skipped options_are_accepted: no binary was given")
    check_metric_names(packaging)
    print("all checked")


main(*sys.argv[1:])
