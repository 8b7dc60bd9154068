"""report.html: a page that holds all that it shows, and asks nobody for anything."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from fastmlp.cli.text import counted, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastmlp.cli.exits import Report
    from fastmlp.cli.pictures import Pictures

__all__ = ["page"]

_HEAD: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.6rem; }} h2 {{ font-size: 1.2rem; margin-top: 2rem; }}
table {{ border-collapse: collapse; width: 100%; }}
.wide {{ overflow-x: auto; }}
th, td {{ text-align: left; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid #8886; vertical-align: top; }}
td.n, th.n {{ text-align: right; font-variant-numeric: tabular-nums; }}
meter {{ width: 10rem; }}
img {{ max-width: 100%; height: auto; background: white; border-radius: 4px; }}
figure {{ margin: 1rem 0; }} figcaption {{ color: #888; }}
code {{ background: #8882; padding: .1rem .3rem; border-radius: 3px; }}
</style>
</head>
<body>
"""


def page(report: Report, pictures: Pictures | None) -> str:
    """Return the page of a training's report, and pictures; None: there are none, for want of Matplotlib."""
    target = report["target"]
    parts = [_HEAD.format(title=escape(f"{target}: a model by fastmlp"))]
    parts.append(f"<h1>{escape(target)}</h1>\n<p>{escape(_summary(report))}</p>\n")
    parts += [f"<p><strong>Note:</strong> {escape(warning)}</p>\n" for warning in report["warnings"]]
    for which, scores in report["scores"].items():
        parts.append(f"<h2>How good it is on the {which} rows</h2>\n<p>{escape(_about(which))}</p>\n")
        rows = [
            [name.replace("_", " "), shown(score["value"]), f"{shown(score['low'])} to {shown(score['high'])}"]
            for name, score in scores.items()
        ]
        parts.append(_table(["metric", "value", "95 % interval"], rows, 1))
    if report["importances"]:
        parts.append(_importances(report))
    if pictures is None:
        parts.append("<p>Pictures need Matplotlib: <code>pip install 'fastmlp[plot]'</code>.</p>\n")
    for caption, uri in (pictures or {}).items():
        text = escape(caption)
        parts.append(f'<figure><img src="{uri}" alt="{text}"><figcaption>{text}</figcaption></figure>\n')
    parts.append(_columns(report) + _training(report))
    command = escape(f"fastmlp predict {report['model']} new.csv -o predictions.csv")
    return "".join([*parts, f"<h2>To use it</h2>\n<p><code>{command}</code></p>\n</body>\n</html>\n"])


def _summary(report: Report) -> str:
    what = "a number" if report["classes"] is None else f"one of {len(report['classes'])} classes"
    rows = report["rows"]
    return (
        f"Learnt from {report['data']}: {what}, from {counted(len(report['columns']), 'column')}, "
        f"with {counted(rows['training'], 'row')} to learn from and {counted(rows['validation'], 'row')} held out."
    )


def _about(which: str) -> str:
    if which == "test":
        return "These rows had no part in the training."
    return "The best epoch was chosen by these rows: on others, expect a little less."


def _importances(report: Report) -> str:
    metric = report["metric"].replace("_", " ")
    most = max(report["importances"].values())
    rows = []
    for name, worth in list(report["importances"].items())[:20]:
        share = max(0.0, worth / most) if most > 0 else 0.0
        rows.append(f'<tr><td>{escape(name)}</td><td class="n">{shown(worth)}</td><td><meter value="{share:.3f}">'
                    f"</meter></td></tr>\n")  # fmt: skip
    return (
        f"<h2>Columns that tell most</h2>\n<p>How much worse the {escape(metric)} is where a column's values are those "
        f'of other rows.</p>\n<table><tr><th>column</th><th class="n">worse by</th><th></th></tr>\n{"".join(rows)}'
        "</table>\n"
    )


def _columns(report: Report) -> str:
    rows = [
        [name, each["kind"], f"{each['gaps']:,}", "" if each["different"] is None else f"{each['different']:,}"]
        for name, each in list(report["columns"].items())[:100]
    ]
    more = len(report["columns"]) - len(rows)
    rest = f"<p>and {more:,} others</p>\n" if more > 0 else ""
    return "<h2>Columns</h2>\n" + _table(["column", "kind", "gaps", "categories"], rows, 2) + rest


def _training(report: Report) -> str:
    rows = [[name, text] for name, text in report["training"].items()]
    return "<h2>Training</h2>\n" + _table(["", ""], [[str(cell) for cell in row] for row in rows], 2)


def _table(names: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> str:
    """Lay out a table, the first `left` columns of which are text."""

    def line(cells: Sequence[str], tag: str) -> str:
        numbers = [' class="n"' if place >= left else "" for place in range(len(cells))]
        return "<tr>" + "".join(
            f"<{tag}{number}>{escape(cell)}</{tag}>" for cell, number in zip(cells, numbers, strict=True)
        ) + "</tr>\n"  # fmt: skip

    head = line(names, "th") if any(names) else ""
    return '<div class="wide"><table>\n' + head + "".join(line(row, "td") for row in rows) + "</table></div>\n"
