"""The Dockerfile: pinned, from the lock with its hashes, without root.

No container runtime is at hand, so the text itself is held to rules.
"""

import json
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
IGNORED = (ROOT / ".dockerignore").read_text().splitlines()


def instructions(text):
    """Return (word, rest) of each instruction, comments and line ends undone."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [
        (word.upper(), " ".join(rest.split()))
        for word, _, rest in (line.partition(" ") for line in joined.splitlines())
        if word
    ]


ALL = instructions((ROOT / "Dockerfile").read_text())
STARTS = [index for index, (word, _) in enumerate(ALL) if word == "FROM"]
BUILD, LAST = ALL[STARTS[0] : STARTS[1]], ALL[STARTS[1] :]


def only(stage, word):
    found = [rest for name, rest in stage if name == word]
    assert len(found) == 1, (word, found)
    return found[0]


def test_there_is_a_stage_that_builds_and_one_that_runs():
    assert len(STARTS) == 2


def test_base_image_is_pinned_to_a_patch_release_and_a_distribution():
    image = only(ALL[: STARTS[0]], "ARG").removeprefix("PYTHON_IMAGE=")

    assert re.fullmatch(
        r"python:\d+\.\d+\.\d+-slim-[a-z]+(@sha256:[0-9a-f]{64})?", image
    )
    for index in STARTS:
        assert ALL[index][1].split()[0] == "${PYTHON_IMAGE}"


def test_base_image_has_a_python_that_the_project_supports():
    image = only(ALL[: STARTS[0]], "ARG")
    minor = int(re.search(r":3\.(\d+)\.", image)[1])
    least = re.search(
        r'requires-python = ">=3\.(\d+)"', (ROOT / "pyproject.toml").read_text()
    )

    assert minor >= int(least[1])


def test_packages_come_from_the_lock_with_their_hashes():
    runs = [rest for word, rest in BUILD if word == "RUN"]
    fetching = [run for run in runs if "--requirement requirements.lock" in run]
    lock = (ROOT / "requirements.lock").read_text()

    assert len(fetching) == 1
    for option in ("--require-hashes", "--no-deps", "--only-binary :all:"):
        assert option in fetching[0]
    pins = re.findall(r"^[\w.\[\]-]+==", lock, re.MULTILINE)
    assert len(pins) == len(re.findall(r"^[^\s#]", lock, re.MULTILINE))


def test_nothing_else_is_taken_from_the_package_index():
    for run in (rest for word, rest in ALL if word == "RUN"):
        for command in run.split("&&"):
            if " install " in command and "pip" in command:
                assert "--no-index" in command
                assert "--find-links wheels" in command
    assert not [rest for word, rest in LAST if word == "RUN" and "pip" in rest]


def test_the_lock_is_copied_before_the_code():
    copies = [rest for word, rest in BUILD if word == "COPY"]

    assert copies[0] == "requirements.lock ./"
    assert copies[-1].startswith("loki_py/")


def test_last_stage_takes_only_the_installed_program():
    copies = [rest for word, rest in LAST if word == "COPY"]

    assert copies == ["--from=build /opt/loki-py /opt/loki-py"]


def test_user_is_a_number_that_is_not_root_and_the_charts():
    user = only(LAST, "USER")
    values = yaml.safe_load((ROOT / "helm" / "loki-py" / "values.yaml").read_text())
    context = values["podSecurityContext"]

    assert user == f"{context['runAsUser']}:{context['runAsGroup']}"
    assert not user.startswith("0")
    after = [word for word, _ in LAST[LAST.index(("USER", user)) :]]
    assert "RUN" not in after


def test_tini_is_the_first_process_and_passes_signals_on():
    entry = json.loads(only(LAST, "ENTRYPOINT"))

    assert entry == ["/usr/bin/tini", "--", "loki-py"]
    installed = only(LAST, "RUN")
    assert "--no-install-recommends tini=" in installed
    assert "rm -rf /var/lib/apt/lists/*" in installed


def test_health_check_asks_ready():
    options, _, command = only(LAST, "HEALTHCHECK").partition("CMD ")
    program, flag, code = json.loads(command)

    assert (program, flag) == ("python", "-c")
    compile(code, "health", "exec")
    assert "'/ready'" in code
    assert "status != 200" in code
    assert "--timeout=5s" in options
    assert "--start-period=" in options


def test_command_keeps_data_on_the_volume_and_listens_to_all():
    command = json.loads(only(LAST, "CMD"))

    assert command[0] == "serve"
    assert f"--data-dir={only(LAST, 'VOLUME')}" in command
    assert "--set=server.http_listen_address=0.0.0.0" in command
    assert "3100" in only(LAST, "EXPOSE").split()


def test_assertions_stay_on():
    assert not [rest for word, rest in ALL if word == "ENV" and "OPTIMIZE" in rest]


@pytest.mark.parametrize("word", ["ADD", "MAINTAINER", "ONBUILD", "SHELL"])
def test_instruction_is_not_used(word):
    assert word not in {name for name, _ in ALL}


def test_no_secret_is_passed_to_the_build():
    names = [rest.partition("=")[0] for word, rest in ALL if word in {"ARG", "ENV"}]

    assert not [n for n in names if re.search("KEY|TOKEN|SECRET|PASSWORD", n)]


def test_builder_is_sent_what_is_copied_and_nothing_else():
    allowed = {line[1:].rstrip("/") for line in IGNORED if line.startswith("!")}
    copied = {
        source.rstrip("/")
        for word, rest in BUILD
        if word == "COPY"
        for source in rest.split()[:-1]
    }

    assert "*" in IGNORED
    assert allowed == copied
    assert all((ROOT / name).exists() for name in allowed)
