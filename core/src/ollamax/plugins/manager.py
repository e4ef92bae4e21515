"""Takes plugins from discovery to registry; a plugin that fails on the way is out, and all others go on."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from functools import cache
from typing import TYPE_CHECKING

from ollamax import __version__, config
from ollamax.errors import PluginError
from ollamax.plugins.candidate import Candidate, Status, normal_name
from ollamax.plugins.claims import Claims
from ollamax.plugins.discovery import discover
from ollamax.plugins.isolation import PluginFault, Unavailable, isolated
from ollamax.plugins.loader import Loader
from ollamax.plugins.registry import Registry
from ollamax.plugins.report import Row, rows
from ollamax.plugins.validation import LIST_HOOKS, Provided, check, check_command

if TYPE_CHECKING:
    import click

    from ollamax.backend.base import Backend


class Manager:
    """The plugins of one process, of which all threads see each stage when it is through.

    Each stage (load, commands, registry, probe) runs once, on demand, and judges what it calls: ``--help`` asks
    for commands only and so never imports a model's or a backend's libraries.
    """

    def __init__(self, candidates: list[Candidate], *, strict: bool, core_version: str = __version__) -> None:
        self._candidates, self._strict = candidates, strict
        self._loader = Loader(core_version)
        self._claims = Claims()
        self._lock = threading.RLock()
        self._commands: dict[str, click.Command] | None = None
        self._registry: Registry | None = None
        for item in candidates:
            if not item.dropped:
                self._loader.load(item)
            self._settle(item)

    def commands(self, reserved: Collection[str]) -> dict[str, click.Command]:
        """The plugins' commands by name; ``reserved`` are core's own names, which a plugin may not take."""
        with self._lock:
            if self._commands is None:
                self._commands = self._take_commands(reserved)
            return self._commands

    def registry(self) -> Registry:
        """Everything else that plugins provide."""
        with self._lock:
            if self._registry is None:
                self._registry = self._take_all()
            return self._registry

    def provider(self, kind: str, name: str) -> str | None:
        """The distribution whose plugin provides ``name``, of a ``kind`` as in the report; None if nobody does."""
        self.registry()
        owners = (item.distribution for item in self._active() if name in item.provides.get(kind, ()))
        return next(owners, None)

    def report(self, reserved: Collection[str]) -> list[Row]:
        """Run every stage and ask every backend whether it can run here; one row for each distribution."""
        self.commands(reserved)
        registry = self.registry()
        for item in self._active():
            # Only reported: a backend that cannot run here stays registered, and says why when it is asked for.
            reasons = [_probe(item, name, registry.backends[name]) for name in item.provides.get("backend", ())]
            item.reason = "; ".join(filter(None, reasons))
            item.status = Status.UNAVAILABLE if item.reason else Status.OK
        return rows(self._candidates)

    def _take_commands(self, reserved: Collection[str]) -> dict[str, click.Command]:
        found: dict[str, click.Command] = {}
        for item in self._active():
            provided: list[Provided] = []
            with isolated(item, "hook ollamax_commands"):
                provided = self._call_commands(item, reserved)
                self._claims.take(item, provided)
            self._settle(item)
            if not item.dropped:
                found.update((thing.names[0], thing.item) for thing in provided)
        return found

    def _take_all(self) -> Registry:
        found = Registry()
        for item in self._active():
            provided = self._call_list_hooks(item)
            if not item.dropped:
                with isolated(item, "names"):
                    self._claims.take(item, provided)
            self._settle(item)
            if not item.dropped:
                found.add(provided)
        found.absent = {normal_name(row.distribution): row.reason for row in rows(self._candidates) if row.reason}
        return found

    def _active(self) -> Iterator[Candidate]:
        return (item for item in self._candidates if not item.dropped)

    def _call_list_hooks(self, item: Candidate) -> list[Provided]:
        provided: list[Provided] = []
        for hook in LIST_HOOKS:
            with isolated(item, f"hook {hook}"):
                for result in self._loader.call(item, hook):
                    provided += check(hook, result)
            if item.dropped:
                break
        return provided

    def _call_commands(self, item: Candidate, reserved: Collection[str]) -> list[Provided]:
        import click

        # A group of its own for each plugin: it can neither see nor replace what others have added.
        group = click.Group("ollamax")
        for result in self._loader.call(item, "ollamax_commands", cli=group):
            if result is not None:
                raise PluginFault("ollamax_commands returned something; it adds commands to the group instead")
        provided = [check_command(name, command) for name, command in group.commands.items()]
        if taken := [thing.names[0] for thing in provided if thing.names[0] in reserved]:
            raise PluginFault(f"claims the command {taken[0]!r}, which is built into ollamax-core")
        return provided

    def _settle(self, item: Candidate) -> None:
        if not item.dropped:
            return
        self._loader.unload(item)
        if self._strict:
            raise PluginError(
                f"plugin {item.name!r} of {item.label} {item.status}: {item.reason} "
                "(fatal because OLLAMAX_STRICT_PLUGINS is set)"
            )


def _probe(item: Candidate, name: str, backend: type[Backend]) -> str:
    """Why a backend cannot run here, or nothing; what would make it faster is noted."""
    from ollamax.backend.ranking import checked_probe

    trial = Candidate(item.distribution, item.version)
    with isolated(trial, "probe"):
        probe = checked_probe(backend)
        if not probe.devices:
            raise Unavailable(probe.reason or "it found no device")
        item.notes += [device.advice for device in probe.devices if device.advice]
    return f"backend {name!r}: {trial.reason}" if trial.dropped else ""


_lock = threading.RLock()


def get_manager() -> Manager:
    """The manager of this process, following ``OLLAMAX_PLUGINS`` and ``OLLAMAX_STRICT_PLUGINS``."""
    with _lock:  # of two at once the second would find names taken
        return _manager()


@cache
def _manager() -> Manager:
    return Manager(discover(config.selected_plugins()), strict=config.strict_plugins())


def get_registry() -> Registry:
    """What the plugins of this process provide."""
    return get_manager().registry()
