"""An evening in the containers of docker-compose.yml: whom they run as, and what is left when they are killed."""

import json
from collections.abc import Iterator

import pytest

from tests.deploy.containers import ContainerProject, build_images, require_engine
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

#: The services, and the folder that each may write to besides /tmp.
WRITABLE = {"valkey": "/data", "store": "/data/artdream", "worker": None, "display": "/data", "producer": "/data"}

#: Folders that one service or another has or mounts.
FOLDERS = ("/", "/usr", "/app", "/data", "/data/artdream", "/weights", "/inbox", "/tmp")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ContainerProject]:
    require_engine()
    build_images()
    with ContainerProject(tmp_path_factory.mktemp("compose"), recipe="night") as project:
        project.up()
        yield project


@pytest.mark.parametrize("service", WRITABLE)
def test_a_service_is_not_root_and_writes_to_its_volume_alone(service: str, project: ContainerProject) -> None:
    assert project.execute(service, "id -u").strip() == ("999" if service == "valkey" else "10001")
    status = project.execute(service, "grep -E '^(CapBnd|NoNewPrivs)' /proc/self/status").split()
    assert status == ["CapBnd:", "0000000000000000", "NoNewPrivs:", "1"]
    probe = "touch $folder/probe && rm $folder/probe && echo $folder"
    written = project.execute(service, f"for folder in {' '.join(FOLDERS)}; do {probe}; done; true")
    assert set(written.split()) == {"/tmp", WRITABLE[service]} - {None}


def test_weights_can_be_fetched(project: ContainerProject) -> None:
    """Seen failing: it could not create the folder of a store, and ended before it looked for the network."""
    output = project.compose("run", "--rm", "weights", "unheard-of", check=False)
    assert "nothing to fetch for “unheard-of”" in output


@pytest.mark.timeout(1800)
def test_every_photo_is_dreamt_once_and_shown_whatever_is_killed(project: ContainerProject) -> None:
    for service in WRITABLE:
        project.drop_photos(2)
        wait_until(project.is_dreaming, "a dream is under way", explain=project.read_logs)
        project.crash(service)
    project.drop_photos(2)
    wait_until(project.is_dreaming, "a dream is under way", explain=project.read_logs)
    project.compose("kill")  # the engine leaves alone what an operator killed
    project.up()
    wait_until(project.has_dreamt_all, "all are dreamt", explain=project.read_logs)
    project.wait_until_healthy(*WRITABLE)
    assert set(project.count_completions().values()) == {1}

    shown = json.loads(project.get("/gallery/dreams"))["dreams"]
    assert {dream["job_id"] for dream in shown} == set(project.count_completions())
    assert len(shown) == project.photo_count
    for dream in shown:
        assert project.get(f"/pictures/{dream['dream']}").startswith(b"\xff\xd8")
