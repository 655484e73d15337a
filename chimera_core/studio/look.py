"""How the page looks: system fonts, calm colours that stand out in light and dark, room to breathe."""

from __future__ import annotations

import html
from typing import Any

from chimera_core.studio.workshop import Job

STYLE = """
html { scrollbar-gutter: stable; }
.gradio-container { width: 100% !important; max-width: 1240px !important; margin: 0 auto !important; padding: 0 !important; box-sizing: border-box; }
main.app, .gradio-container > .main { padding: 16px 20px 40px !important; box-sizing: border-box; max-width: 100%; }
@media (max-width: 600px) { main.app, .gradio-container > .main { padding: 10px 10px 30px !important; } }
#head h1 { font-size: 1.7rem; margin: 0; letter-spacing: -0.02em; }
#head p { margin: 2px 0 0; color: var(--body-text-color-subdued); }
.caption .html-container, #status .html-container, #why .html-container, #hint .html-container, #runs .html-container { padding: 0 !important; }
#gallery .grid-wrap, #history .grid-wrap { max-height: none !important; min-height: 0 !important; height: auto !important; overflow: visible !important; }
#gallery .grid-container { grid-template-columns: repeat(auto-fill, minmax(min(150px, 44%), 1fr)) !important; }
#history .grid-container { grid-template-columns: repeat(auto-fill, minmax(120px, 1fr)) !important; }
#gallery, #history { max-width: 100%; }
.step h2 { font-size: 1.05rem; margin: 14px 0 2px; }
.step p { margin: 0; color: var(--body-text-color-subdued); }
.caption { min-height: 1.3em; font-size: 0.9rem; padding: 0 2px; }
.caption .wrong, #status .wrong { color: var(--error-text-color, #b91c1c); font-weight: 600; }
.dark .caption .wrong, .dark #status .wrong { color: #fca5a5; }
#make { font-size: 1.15rem; min-height: 52px; }
#suggestions { display: none; }
#stage { min-height: 320px; }
#status { min-height: 2.2em; padding: 0 2px; }
#status .bar { height: 8px; border-radius: 4px; background: var(--border-color-primary); overflow: hidden; margin-top: 4px; }
#status .bar i { display: block; height: 100%; background: var(--color-accent); transition: width 0.2s linear; }
#status .bar.unknown i { width: 30%; animation: to-and-fro 1.6s ease-in-out infinite alternate; }
@keyframes to-and-fro { from { margin-left: 0; } to { margin-left: 70%; } }
@media (prefers-reduced-motion: reduce) { #status .bar i { animation: none !important; transition: none; } }
#why { padding: 0 2px; color: var(--body-text-color-subdued); font-size: 0.92rem; }
.dark button[role=tab][aria-selected=true] { color: var(--primary-300) !important; }
#compare-row { align-items: flex-end; }
#examples button { min-height: 44px; }
#command textarea { width: 0; min-width: 100%; field-sizing: content; height: auto !important; max-height: none !important; font-family: var(--font-mono); font-size: 0.88rem; }
.runs { display: grid; grid-template-columns: repeat(auto-fill, minmax(280px, 1fr)); gap: 16px; }
.runs article { border: 1px solid var(--border-color-primary); border-radius: 10px; padding: 14px; background: var(--block-background-fill); overflow-wrap: anywhere; }
.runs h3 { margin: 0 0 2px; font-size: 1rem; }
.runs p { margin: 2px 0; font-size: 0.88rem; color: var(--body-text-color-subdued); }
.runs img { width: 100%; border-radius: 6px; margin-top: 8px; background: #fff; }
/* A slider's knob stands out from its track, in light and dark. */
input[type=range]::-webkit-slider-thumb { width: 20px !important; height: 20px !important; background: #fff !important;
  border: 4px solid var(--primary-700) !important; border-radius: 50% !important; box-shadow: 0 0 0 1px #fff, 0 1px 4px #0008 !important; }
input[type=range]::-moz-range-thumb { width: 14px; height: 14px; background: #fff; border: 4px solid var(--primary-700); border-radius: 50%; }
/* A slider's number is there to be read. */
.tab-like-container input[type=number] { pointer-events: none; border: 0 !important; background: none !important;
  box-shadow: none !important; text-align: right; padding: 0 6px 0 0 !important; width: 3.6em !important; appearance: textfield; -moz-appearance: textfield; min-width: 0 !important; }
.tab-like-container input[type=number]::-webkit-inner-spin-button { display: none; }
.tab-like-container button { display: none; }
[id^=share-] .head { display: grid !important; grid-template-columns: minmax(0, 1fr) auto; align-items: center; }
[id^=share-] [data-testid=block-info] { white-space: nowrap; overflow: hidden; text-overflow: ellipsis; display: block; margin: 0; }
.legend { margin: 0; font-size: 0.88rem; color: var(--body-text-color-subdued); }
.legend i { display: inline-block; width: 16px; height: 4px; border-radius: 2px; margin: 0 4px 0 10px; vertical-align: middle; }
/* Words end before what stands at the right. */
#command [data-testid=block-info] { padding-right: 34px; }
#options > button > span:first-child, #corrections > button > span:first-child { padding-right: 12px; text-align: left; }
#options > button > span:last-child, #corrections > button > span:last-child { flex-shrink: 0; }
.source-selection button { color: var(--body-text-color-subdued) !important; }
.source-selection button.selected { color: var(--primary-700) !important; }
.dark .source-selection button.selected { color: var(--primary-300) !important; }
.legend .outline { background: rgb(0, 200, 170); } .legend .head { background: rgb(255, 176, 0); }
.legend .neck { background: rgb(255, 90, 95); } .legend .face { background: rgb(90, 150, 255); }
/* Labels stand above the photographs, not on them. */
#parent-1, #parent-2, #parent-3, #stage, #moving, #gallery, #history { padding-top: 30px !important; }
#more-progress { align-items: center; min-height: 1.5em; }
#cancel { min-height: 52px; }
#gallery .caption-label, #history .caption-label { white-space: normal !important; overflow: visible !important;
  text-overflow: clip !important; max-width: 100% !important; font-size: 0.72rem !important; line-height: 1.2; }
#gallery, #history { overflow: hidden !important; }
:root { color-scheme: light; } .dark, :root.dark, :root:has(.dark) { color-scheme: dark; }
.dark input[type=radio]:not(:checked), .dark input[type=checkbox]:not(:checked) { border: 2px solid var(--neutral-400) !important; }
.dark #brush canvas, .dark #brush .image-container { background: transparent !important; }
@media (max-width: 600px) {
  #command textarea { font-size: 0.78rem; overflow-wrap: anywhere; }
  #parent-1, #parent-2 { padding-top: 46px !important; }
  #parent-1 label[data-testid=block-label], #parent-2 label[data-testid=block-label] { max-width: calc(100% - 30px); font-size: 0.75rem; }
  #parent-1 label[data-testid=block-label] > span, #parent-2 label[data-testid=block-label] > span { display: none; }
  #parent-1 button[aria-label*=ullscreen], #parent-2 button[aria-label*=ullscreen] { display: none !important; }
  [id^=share-] { min-width: 100% !important; }
  #options { overflow-x: clip !important; }
  .gradio-container { overflow-x: clip; }
}
footer { display: none !important; }
"""
_START = "Getting ready, which takes longer the first time"
# A fuser's last report is not yet a picture on the disk.
_FINISHING = 0.99
SCRIPT = """
() => {
  // Gradio's label of a text with a copy button belongs to the button.
  const name = () => {
    const command = document.querySelector('#command textarea');
    if (command && !command.ariaLabel) command.ariaLabel = 'Command that makes the same picture';
  };
  // A slider's number shows where it stands: half-typed numbers would be drawn, and an emptied box is no number at all.
  const numbers = () => {
    for (const box of document.querySelectorAll('.tab-like-container input[type=number]')) {
      if (box.readOnly) continue;
      box.readOnly = true;
      box.tabIndex = -1;
      box.setAttribute('aria-hidden', 'true');
    }
  };
  // Names of pictures are suggested while one is typed; what is typed stays as it is. Typing replaces the name before.
  const suggest = () => {
    for (const box of document.querySelectorAll('[id^=name-] input')) {
      if (box.getAttribute('list')) continue;
      box.setAttribute('list', 'known-names');
      box.addEventListener('focus', () => box.select());
      box.addEventListener('input', (event) => {
        if (!event.isTrusted) return;
        if (!event.inputType || event.inputType === 'insertReplacementText') setTimeout(() => box.blur(), 50);
      });
    }
  };
  const all = () => { name(); numbers(); suggest(); };
  all();
  new MutationObserver(all).observe(document.body, {childList: true, subtree: true});
}
"""


def theme(gradio: Any) -> Any:
    """Give the theme: Gradio's plain one with fonts of the system, for none is fetched."""
    font = gradio.themes.utils.fonts.Font
    return gradio.themes.Default(
        primary_hue=gradio.themes.colors.teal,
        secondary_hue=gradio.themes.colors.teal,
        neutral_hue=gradio.themes.colors.slate,
        font=[font("system-ui"), font("sans-serif")],
        font_mono=[font("ui-monospace"), font("monospace")],
    ).set(
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_text_color="white",
        block_label_text_size="*text_sm",
        # What others call subdued is too pale to be read on white.
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        block_title_text_color="*neutral_700",
        block_label_text_color="*neutral_700",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_400",
        color_accent="*primary_700",
        slider_color="*primary_600",
    )


def scroll_to(name: str) -> str:
    """Write the script that brings a part of the page into sight."""
    return (
        f"() => {{ const e = document.getElementById({name!r}); if (e) setTimeout(() => "
        "e.scrollIntoView({block: 'center', behavior: 'smooth'}), 300); }"
    )


def wrong(text: str) -> str:
    """Write a line that says what went wrong."""
    return f'<span class="wrong" role="alert">{html.escape(text)}</span>'


def plain(text: str) -> str:
    """Write a line of text: whatever it holds, it is text."""
    return f"<span>{html.escape(text)}</span>"


def working(job: Job, what: str, ahead: int = 0) -> str:
    """Write how far a job is, how long it took so far, and how long it may take still where that is known."""
    if job.state == "waiting":
        others = "another picture" if ahead <= 1 else f"{ahead} other pictures"
        text, share = (f"Waiting for {others} ..." if ahead else f"{_START} ..."), 0.0
    elif job.share >= _FINISHING:
        text, share = f"{what} ... finishing", _FINISHING
    else:
        share = job.share
        facts = [f"{share:.0%}"] if share > 0.02 else []
        if (elapsed := job.elapsed_s) >= 2:
            facts.append(f"{seconds(elapsed)} so far")
        if (left := job.left_s) is not None and share < 1:
            facts.append(f"about {seconds(left)} left")
        text = f"{what} ... {', '.join(facts)}".rstrip()
    percent = f"{100 * share:.0f}"
    bar = (
        f'<div class="bar" role="progressbar" aria-label="{html.escape(what)}" aria-valuemin="0" aria-valuemax="100" '
        f'aria-valuenow="{percent}"><i style="width:{percent}%"></i></div>'
        if share > 0.02
        else f'<div class="bar unknown" role="progressbar" aria-label="{html.escape(what)}"><i></i></div>'
    )
    return f"<span>{html.escape(text)}</span>{bar}"


def seconds(value: float) -> str:
    """Write how long something takes."""
    return f"{max(1, value):.0f} s" if value < 90 else f"{value / 60:.0f} min"
