"""The files of a folder of one's own: which belong together, what is missing or left over, who is in which split."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from mtlbench.datasets.raw.photos import SUFFIXES
from mtlbench.system.errors import DataError, nearest
from mtlbench.system.words import be, many

#: {task: suffixes of its files}.
_SUFFIXES = {"segmentation": (".png",), "depth": (".png", ".npy"), "normals": (".png", ".npy")}
#: What file managers leave.
_STRAY = ("Thumbs.db", "desktop.ini")
#: Defects that a message lists.
_SHOWN = 20


def find(raw: Path, images: str, folders: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """{name: {"image" or task: file below ``raw``}} in the order of names; DataError lists all that is wrong.

    ``folders`` are {task: folder}. A name is a file's path below its folder without the suffix, ``kitchen/0001``.
    """
    problems: list[str] = []
    found = {"image": _files(raw, images, SUFFIXES, problems)}
    found |= {task: _files(raw, folder, _SUFFIXES[task], problems) for task, folder in folders.items()}
    names = found["image"]
    for task, folder in folders.items():
        if (raw / folder).is_dir() and (raw / images).is_dir():
            ends = " or ".join(_SUFFIXES[task])
            lacking = [name for name in names if name not in found[task]]
            problems += [f"{folder}/{name}: missing ({ends}), although there is {names[name]}" for name in lacking]
            problems += [f"{file}: there is no image of that name" for name, file in found[task].items()
                         if name not in names]  # fmt: skip
    tell(raw, problems)
    return {name: {what: files[name] for what, files in found.items()} for name in sorted(names)}


def tell(raw: Path, problems: Sequence[str]) -> None:
    """Raise DataError with these defects, when there are any."""
    if not problems:
        return
    more = [f"... and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
    raise DataError(
        "\n  ".join([f"{raw}: {many(len(problems), 'thing')} {be(len(problems))} wrong:", *problems[:_SHOWN], *more])
    )


def scene_of(name: str, separator: str) -> str:
    """An image's scene: its name before the last ``separator``; the whole name without one."""
    return name.rpartition(separator)[0] or name if separator else name


def listed(
    raw: Path, lists: Mapping[str, str], known: Mapping[str, Mapping[str, str]]
) -> tuple[dict[str, list[str]], int]:
    """({split: names} of the lists, images that are in none of them); ({}, 0) when there are no lists.

    A list has one name in a line, with or without its suffix; empty lines and those that begin with # do not count.
    """
    present = {split: (raw / file).is_file() for split, file in lists.items()}
    if not any(present.values()):
        return {}, 0
    problems = [f"{lists[split]}: missing, although the other list is there" for split in lists if not present[split]]
    full = {Path(files["image"]).relative_to(Path(files["image"]).parts[0]).as_posix(): name
            for name, files in known.items()}  # fmt: skip
    seen: dict[str, str] = {}
    chosen: dict[str, list[str]] = {split: [] for split in lists}
    for split, file in lists.items():
        for place, line in _lines(raw / file, file, problems) if present[split] else ():
            name = full.get(line, line)
            if name not in known:
                problems.append(f"{place}: no image '{line}'. {_near(line, known)}")
            elif name in seen:
                problems.append(f"{place}: '{line}' is already in {seen[name]}")
            else:
                seen[name] = place
                chosen[split].append(name)
    problems += [f"{lists[split]}: no image in it" for split, names in chosen.items() if present[split] and not names]
    tell(raw, problems)
    return chosen, len(known) - len(seen)


def drawn(scenes: Mapping[str, str], share: float, seed: int) -> dict[str, list[str]]:
    """{"train": names, "test": names}: whole scenes in an order drawn from ``seed`` until ``share`` is for testing.

    A scene's place in that order depends on its own name alone, so further scenes change the split little.
    """
    order = sorted(set(scenes.values()), key=lambda scene: hashlib.sha256(f"{seed} {scene}".encode()).digest())
    if len(order) < 2:
        raise DataError(
            f"expected images of at least two scenes for a split, found {len(order)} (is `scene` right?); or list the "
            "images in train.txt and test.txt"
        )
    wanted = max(1, round(share * len(scenes)))
    test: set[str] = set()
    for scene in order[:-1]:
        if sum(found in test for found in scenes.values()) < wanted:
            test.add(scene)
    return {
        "train": [name for name, scene in scenes.items() if scene not in test],
        "test": [name for name, scene in scenes.items() if scene in test],
    }


def remarks_of(chosen: Mapping[str, Sequence[str]], scenes: Mapping[str, str], left: int) -> tuple[str, ...]:
    """Sentences about the split that a reader must know."""
    train, test = ({scenes[name] for name in chosen[split]} for split in ("train", "test"))
    found = [f"{many(left, 'image')} {be(left)} in neither train.txt nor test.txt"] if left else []
    if both := sorted(train & test):
        found.append(f"scenes with images in both splits: {len(both)} (first '{both[0]}')")
    return tuple(found)


def _files(raw: Path, folder: str, suffixes: Sequence[str], problems: list[str]) -> dict[str, str]:
    """{name: file below ``raw``} of a folder and those in it."""
    if not (raw / folder).is_dir():
        problems.append(f"{folder}/: no such folder")
        return {}
    found: dict[str, str] = {}
    for path in sorted(path for path in (raw / folder).rglob("*") if path.is_file()):
        inside = path.relative_to(raw / folder)
        if path.name in _STRAY or any(part.startswith(".") for part in inside.parts):
            continue
        name, file = inside.with_suffix("").as_posix(), path.relative_to(raw).as_posix()
        if path.suffix.lower() not in suffixes:
            problems.append(f"{file}: expected only files with {', '.join(suffixes)} here")
        elif name in found:
            problems.append(f"{file}: there is also {found[name]}; one name, one file")
        else:
            found[name] = file
    if not found:
        problems.append(f"{folder}/: expected files with {', '.join(suffixes)}, found none")
    return found


def _lines(path: Path, file: str, problems: list[str]) -> list[tuple[str, str]]:
    """(place, text) of the lines of a list."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        problems.append(f"{file}: expected text in UTF-8")
        return []
    stripped = [(f"{file}, line {number}", line.strip()) for number, line in enumerate(lines, start=1)]
    return [(place, line) for place, line in stripped if line and not line.startswith("#")]


def _near(line: str, known: Iterable[str]) -> str:
    """The nearest name, when there is one; never the list of all."""
    found = nearest(line, known)
    return found.split(" (known")[0] if found.startswith("Did you") else "Names are paths below images/"
