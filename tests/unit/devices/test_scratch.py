"""Private directories, kept while their maker lives and swept away after."""

import os
import stat

import pytest

from tonnage.devices.scratch import ScratchDirectory

pytestmark = [pytest.mark.pre_merge, pytest.mark.unit, pytest.mark.gpu_0]


@pytest.fixture(autouse=True)
def temp_dir(tmp_path, monkeypatch):
    """A temp dir that nothing else uses."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def abandon(scratch):
    """Let go of the claim and leave the files, as a killed process does."""
    os.close(scratch._claim)
    scratch._claim = -1


def test_nobody_else_can_look_inside():
    scratch = ScratchDirectory("test-")
    assert stat.S_IMODE(scratch.path.stat().st_mode) == 0o700
    scratch.remove()


def test_it_goes_with_everything_inside(temp_dir):
    scratch = ScratchDirectory("test-")
    (scratch.path / "deep").mkdir()
    (scratch.path / "deep" / "file").touch()
    scratch.remove()
    scratch.remove()
    assert list(temp_dir.iterdir()) == []


def test_one_whose_maker_lives_is_left_alone():
    first, second = ScratchDirectory("test-"), ScratchDirectory("test-")
    assert first.path.exists()
    first.remove()
    second.remove()


def test_an_abandoned_one_is_swept_away_by_the_next():
    first = ScratchDirectory("test-")
    abandon(first)
    second = ScratchDirectory("test-")
    assert not first.path.exists()
    second.remove()


def test_other_directories_are_nobodys_business(temp_dir):
    (temp_dir / "test-without-a-claim").mkdir()
    (temp_dir / "other-prefix").mkdir()
    (temp_dir / "other-prefix" / "claim").touch()
    kept_elsewhere = temp_dir / "elsewhere"
    kept_elsewhere.mkdir()
    (kept_elsewhere / "claim").touch()
    (temp_dir / "test-link").symlink_to(kept_elsewhere)
    ScratchDirectory("test-").remove()
    names = sorted(path.name for path in temp_dir.iterdir())
    assert names == ["elsewhere", "other-prefix", "test-link", "test-without-a-claim"]
    assert (kept_elsewhere / "claim").exists()
