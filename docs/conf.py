"""Sphinx's settings; `nox -s docs` builds the site into build/docs/html, offline."""

from __future__ import annotations

import re
import sys
import tomllib
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

mpl.use("agg")
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import api_pages  # noqa: E402
from matplotlib import pyplot as plt  # noqa: E402
from matplotlib.animation import FuncAnimation  # noqa: E402
from sphinx_gallery.scrapers import figure_rst  # noqa: E402
from sphinx_gallery.sorting import FileNameSortKey  # noqa: E402

import fastmlp  # noqa: E402

if TYPE_CHECKING:
    from sphinx.application import Sphinx

META = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = "fastmlp"
author = "fastmlp developers"
project_copyright = author
version = release = fastmlp.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "README.md", "gallery/*.rst"]
templates_path = ["_templates"]
default_role = "obj"  # single backticks lead to what they name, where there is a page of it
suppress_warnings = ["config.cache"]

api_pages.write(HERE / "api")
autosummary_filename_map = api_pages.file_names()
autodoc_typehints = "none"  # the types are told in words
autodoc_inherit_docstrings = True
autodoc_mock_imports = api_pages.MOCKED
numpydoc_show_class_members = False  # they stand below, with their examples
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_gallery",
    "filename_pattern": r"/\d\d_",
    "ignore_pattern": r"__init__|shared\.py",
    "within_subsection_order": FileNameSortKey,
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_signature": False,
    "min_reported_time": 1e9,  # seconds on whatever machine built the page mean nothing
    "write_computation_times": False,
    "image_scrapers": ("conf.scrape_animations", "matplotlib"),
    "default_thumb_file": str(HERE / "peers.png"),
}
# A picture that a script shows is scraped, not shown.
warnings.filterwarnings("ignore", "FigureCanvasAgg is non-interactive")

html_theme = "pydata_sphinx_theme"
html_title = "fastmlp"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_favicon = "_static/favicon.svg"
html_context = {"default_mode": "auto"}
html_show_sourcelink = False
html_theme_options = {
    "icon_links": [{"name": "Source", "url": META["urls"]["Homepage"], "icon": "fa-brands fa-github"}],
    "header_links_before_dropdown": 6,
    "navbar_align": "left",
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_toc_level": 2,
}
html_sidebars = {page: [] for page in ("index", "design", "benchmarks")}  # which have no pages below them


# ---- animations -----------------------------------------------------------------------------------------------------


def scrape_animations(block: Any, names: dict[str, Any], settings: dict[str, Any]) -> str:  # noqa: ARG001
    """Make a GIF of an animation, which needs no script in the page and no font from elsewhere."""
    found = [value for value in names["example_globals"].values() if isinstance(value, FuncAnimation)]
    texts = []
    for animation in found:
        figure = animation._fig
        if figure in map(plt.figure, plt.get_fignums()):  # else an earlier block showed it
            path = Path(next(names["image_path_iterator"])).with_suffix(".gif")
            animation.save(path, writer="pillow", dpi=80)
            plt.close(figure)
            texts.append(figure_rst([str(path)], settings["src_dir"]))
    return "".join(texts)


# ---- docstrings -----------------------------------------------------------------------------------------------------

#: What markup would take for its own in a plain sentence: |W| is no substitution, "val_" no link, 2 * x no emphasis.
MARKUP = re.compile(r"(``.*?``|`[^`]+`)|(\||(?<=\w)_(?!\w)|(?<!\*)\*(?!\*))")


def escape(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:  # noqa: ARG001
    """Escape the signs of formulas in the docstrings, which are written for `help` and editors, not for markup."""
    indent: int | None = None  # of a literal block's introduction
    for number, line in enumerate(lines):
        margin = len(line) - len(line.lstrip())
        if indent is not None and line.strip() and margin <= indent:
            indent = None
        if line.rstrip().endswith("::"):
            indent = margin
        before = lines[number - 1].lstrip() if number else ""
        example = line.lstrip().startswith((">>>", "...", "*")) or before.startswith((">>>", "..."))
        heading = number + 1 < len(lines) and set(lines[number + 1].strip()) == {"-"}
        if indent is None and not example and not heading:
            lines[number] = MARKUP.sub(lambda found: found[1] or f"\\{found[2]}", line)


def comment(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:  # noqa: ARG001
    """Put the comment above a constant in the place of the docstring of its type."""
    module, _, constant = name.rpartition(".")
    if what == "data" and module.startswith("fastmlp"):
        lines[:] = [*api_pages.text_of(module, constant).splitlines(), ""]


def skip(app: Sphinx, what: str, name: str, thing: Any, skipped: bool, options: object) -> bool | None:  # noqa: ARG001
    """Leave out methods that a class has from another library: that one has the pages that they refer to."""
    if getattr(thing, "__name__", "") == "<lambda>":
        return True  # whose docstring would be that of what it stands in for
    module = getattr(thing, "__module__", None)
    return True if module is not None and not module.startswith("fastmlp") and callable(thing) else None


def setup(app: Sphinx) -> None:
    """Connect what is above."""
    app.connect("autodoc-process-docstring", comment, priority=300)
    app.connect("autodoc-process-docstring", escape, priority=400)  # before numpydoc, which makes markup of sections
    app.connect("autodoc-skip-member", skip)
