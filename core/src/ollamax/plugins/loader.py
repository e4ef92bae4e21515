"""Imports a plugin and registers its hooks with pluggy, apart from all others."""

from __future__ import annotations

from collections.abc import Iterable
from time import perf_counter

import pluggy

from ollamax.plugins import hookspecs
from ollamax.plugins.candidate import Candidate
from ollamax.plugins.isolation import PluginFault, isolated

SLOW_IMPORT = 0.5
"""Seconds above which the import of a plugin.py is noted as slow."""

_UNSUPPORTED = ("wrapper", "hookwrapper", "tryfirst", "trylast")


class Loader:
    """One pluggy manager; pluggy's own entry-point loading stops at the first failure, so it is not used."""

    def __init__(self, core_version: str) -> None:
        self._core_version = core_version
        self._pluggy = pluggy.PluginManager("ollamax")
        self._pluggy.add_hookspecs(hookspecs)
        self._hooks = frozenset(vars(self._pluggy.hook))
        self._loaded: dict[Candidate, object] = {}

    def load(self, candidate: Candidate) -> None:
        """Check the range of core, import, check the hooks and register; on a fault the candidate is dropped."""
        entry_point = candidate.entry_point
        assert entry_point is not None
        with isolated(candidate, "metadata"):
            from ollamax.plugins.requirement import check_core_range

            check_core_range(candidate, self._core_version)
        if candidate.dropped:
            return
        with isolated(candidate, f"import of {entry_point.value}"):
            start = perf_counter()
            plugin = entry_point.load()
            _note_slow_import(candidate, perf_counter() - start)
            self._check_hooks(plugin)
            self._pluggy.register(plugin, name=f"{candidate.distribution}:{candidate.name}")
            self._loaded[candidate] = plugin

    def unload(self, candidate: Candidate) -> None:
        """Take a dropped candidate's hooks out of pluggy."""
        plugin = self._loaded.pop(candidate, None)
        if plugin is not None:
            self._pluggy.unregister(plugin)

    def call(self, candidate: Candidate, hook: str, **arguments: object) -> list[object]:
        """What each implementation of ``hook`` in this one plugin returns; call it inside ``isolated``."""
        caller: pluggy.HookCaller = getattr(self._pluggy.hook, hook)
        plugin = self._loaded[candidate]
        own = [item for item in caller.get_hookimpls() if item.plugin is plugin]
        return [item.function(*(arguments[name] for name in item.argnames)) for item in own]

    def _check_hooks(self, plugin: object) -> None:
        count = 0
        for name in dir(plugin):
            options = self._pluggy.parse_hookimpl_opts(plugin, name)
            if options is None:
                _check_unmarked(plugin, name, self._hooks)
                continue
            hook = options.get("specname") or name
            if hook not in self._hooks and not options.get("optionalhook"):
                raise PluginFault(f"there is no hook {hook!r}{_did_you_mean(hook, self._hooks)}")
            if refused := [key for key in _UNSUPPORTED if dict(options).get(key)]:
                raise PluginFault(f"hook {hook}: the option {refused[0]} is not supported; leave it out")
            count += 1
        if not count:
            raise PluginFault("its entry point holds no function that is marked with @hookimpl")


def _check_unmarked(plugin: object, name: str, hooks: Iterable[str]) -> None:
    # Functions only: `import ollamax_poem` in a plugin.py is no forgotten hook.
    if name.startswith("ollamax_") and callable(getattr(plugin, name)):
        raise PluginFault(f"function {name!r} lacks the mark @hookimpl{_did_you_mean(name, hooks)}")


def _did_you_mean(name: str, hooks: Iterable[str]) -> str:
    from difflib import get_close_matches

    close = [match for match in get_close_matches(name, sorted(hooks), n=1) if match != name]
    return f"; did you mean {close[0]!r}?" if close else f"; hooks are {', '.join(sorted(hooks))}"


def _note_slow_import(candidate: Candidate, seconds: float) -> None:
    if seconds > SLOW_IMPORT:
        candidate.notes.append(f"slow import: {seconds:.1f} s (limit {SLOW_IMPORT} s)")
