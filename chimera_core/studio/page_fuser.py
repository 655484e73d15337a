"""How two animals become one: the fuser, its presets, and its options, which plugins declare."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import gradio as gr

from chimera_core.errors import ChimeraError
from chimera_core.fusing.backgrounds import BACKGROUNDS
from chimera_core.options.flags import Flag
from chimera_core.studio.asks import DEFAULT_SIZE
from chimera_core.studio.fuser_options import AUTOMATIC_SUMMARY, in_force, read_value, shown_items
from chimera_core.studio.look import plain, wrong
from chimera_core.studio.session import Session
from chimera_core.studio.studio import Studio

if TYPE_CHECKING:
    from chimera_core.studio.page_creature import CreaturePart
    from chimera_core.studio.page_parents import ParentsPart

_NO_PRESET = "without"
_GROUNDS = {"keep": "as in the first photograph", "white": "white", "transparent": "none (transparent)"}


class FuserPart:
    """The choice of a fuser, and its options."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        gr.Markdown("## 2. How they become one", elem_classes="step")
        self.fuser = gr.Dropdown(
            [("Automatic", "")], value="", label="Method", elem_id="fuser", filterable=True
        )
        self.summary = gr.HTML(
            plain(AUTOMATIC_SUMMARY), padding=False, elem_classes="caption", elem_id="summary"
        )
        self.preset = gr.Dropdown(
            [_NO_PRESET],
            value=_NO_PRESET,
            label="Ready-made settings",
            info="presets of the method",
            visible=False,
            elem_id="preset",
        )
        self.version = gr.State(0)
        with gr.Accordion("Background and all options of the method", open=False, elem_id="options"):
            self.background = gr.Dropdown(
                [(_GROUNDS[name], name) for name in BACKGROUNDS],
                value="keep",
                label="Background",
                elem_id="ground",
            )
            self.options = gr.Group()

    def listed(self) -> list[tuple[str, str]]:
        """List the fusers, as soon as the worker says what there is."""
        return [(facts.label, facts.name) for facts in self.studio.fusers()]

    def choices(self) -> dict[Any, Any]:
        """Fill the list."""
        return {self.fuser: gr.update(choices=self.listed(), value="")}

    @property
    def outputs(self) -> list[Any]:
        """What a creature of before may change."""
        return [self.fuser, self.summary, self.preset, self.background, self.version]

    def shown(self, held: Session) -> dict[Any, Any]:
        """Show the fuser and its options as a tab holds them."""
        return {
            **self._described(held),
            self.fuser: gr.update(value=held.fuser),
            self.background: gr.update(value=held.background),
            self.version: time.monotonic_ns(),
        }

    def _described(self, held: Session) -> dict[Any, Any]:
        facts = self.studio.facts(held.fuser)
        presets = facts.presets if facts else ()
        listed = [_NO_PRESET, *((f"{p} - {summary}", p) for p, summary in presets)]
        return {
            self.summary: plain(facts.summary if facts else ""),
            self.preset: gr.update(choices=listed, value=held.preset or _NO_PRESET, visible=bool(presets)),
        }

    def wire(self, session: Any, *, parents: ParentsPart, creature: CreaturePart) -> None:
        """Let a choice show its options."""
        studio = self.studio
        quiet: dict[str, Any] = {
            "show_progress": "hidden",
            "api_visibility": "private",
            "concurrency_limit": None,
        }

        def chosen(name: str | None, held: Session) -> Any:
            held.fuser = held.by_hand = name or ""
            held.preset, held.options = "", {}
            facts = studio.facts(held.fuser)
            trained = facts is not None and "photo" not in facts.accepts
            held.size = None if trained else held.size or DEFAULT_SIZE
            yield {**self._described(held), **creature.sized(held)}
            if len(held.filled) > 1:
                yield from parents.look(held)

        def with_preset(name: str, held: Session) -> None:
            held.preset, held.options = "" if name == _NO_PRESET else name, {}

        self.fuser.input(
            chosen,
            [self.fuser, session],
            [self.summary, self.preset, creature.size, *parents.outputs],
            **quiet,
        )
        self.preset.input(with_preset, [self.preset, session], None, **quiet)
        self.background.input(
            lambda name, held: setattr(held, "background", name), [self.background, session], None, **quiet
        )
        with self.options:

            @gr.render(  # type: ignore[untyped-decorator]
                inputs=[session, self.fuser, self.preset, self.version],
                concurrency_limit=None,
                show_progress="hidden",
            )
            def controls(held: Session, fuser: str, preset: str, version: int) -> None:
                held.fuser, held.preset = fuser or "", "" if preset == _NO_PRESET else preset
                try:
                    flags = studio.flags(held)
                except ChimeraError as error:
                    gr.HTML(wrong(str(error)))
                    return
                _write_controls(flags, held, session)


def _write_controls(flags: Sequence[Flag], held: Session, session: Any) -> None:
    shown = [flag for flag in flags if not flag.hidden]
    if not shown:
        gr.HTML(plain("This method has no options."))
    for flag in shown:
        control = _control(flag, held.options.get(flag.path))

        def note(given: Any, held: Session, flag: Flag = flag) -> None:
            value = read_value(flag, given)
            if value is None:
                held.options.pop(flag.path, None)
            else:
                held.options[flag.path] = value

        control.change(
            note,
            [control, session],
            None,
            show_progress="hidden",
            api_visibility="private",
            concurrency_limit=None,
            queue=False,
        )


def _control(flag: Flag, given: Any) -> Any:
    """Make the control of one option: what it takes, its bounds, its help and the value in force."""
    name = flag.name.lstrip("-")
    label = name.replace("-", " ").replace(".", ": ")
    value = in_force(flag) if given is None else given
    how: dict[str, Any] = {
        "label": label,
        "info": _help(flag),
        "elem_id": f"option-{name}",
        "interactive": True,
    }
    if flag.multiple:
        lines = given if given is not None else shown_items(flag)
        return gr.Textbox("\n".join(map(str, lines)), lines=2, placeholder="one per line", **how)
    if flag.type is bool:
        return gr.Checkbox(bool(value), **how)
    if flag.choices is not None:
        return gr.Dropdown(list(flag.choices), value=None if value is None else str(value), **how)
    if flag.form == "plain" and flag.type in (int, float):
        low, high = flag.minimum, flag.maximum
        if low is not None and high is not None and not (flag.open_minimum or flag.open_maximum):
            step = 1 if flag.type is int else _step(high - low)
            return gr.Slider(low, high, value=low if value is None else value, step=step, **how)
        precision = 0 if flag.type is int else None
        return gr.Number(value, minimum=low, maximum=high, precision=precision, **how)
    return gr.Textbox("" if value is None else str(value), **how)


def _help(flag: Flag) -> str:
    """Give an option's help, with its bounds."""
    text = flag.help[:1].upper() + flag.help[1:]
    if flag.minimum is not None or flag.maximum is not None:
        low = "" if flag.minimum is None else f"from {flag.minimum:g}"
        high = "" if flag.maximum is None else f"to {flag.maximum:g}"
        text += f" ({' '.join(filter(None, (low, high)))})"
    return text


def _step(span: float) -> float:
    return 0.01 if span <= 3 else 0.1 if span <= 30 else 1.0
