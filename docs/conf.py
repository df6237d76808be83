"""How Sphinx builds these pages. Nothing is fetched: not while building, and not when a page is read."""

import html
import inspect
import os
import re
from pathlib import Path

from docutils import nodes
from docutils.utils.math import MathError, latex2mathml
from sphinx.util import logging

ROOT = Path(__file__).parents[1]
HEADER = (ROOT / "src/cymbals/include/cymbals/cymbals.h").read_text(encoding="utf-8")

# Examples are small: one thread each is fastest, above all on a machine that does something else as well.
for variable in ("CYMBALS_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

project = "cymbals"
author = "the cymbals developers"
copyright = author
release = version = re.search(r'#define CYMBALS_VERSION "(.+)"', HEADER)[1]

extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc", "myst_nb"]
default_role = "literal"  # `name` in a docstring is code
nitpicky = True  # a reference that leads nowhere is a warning, and tests/test_docs.py makes warnings errors

# Types in docstrings are words for people ("array_like of ids"), not references.
numpydoc_xref_param_type = False
numpydoc_show_class_members = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_mock_imports = ["lenskit", "mlflow", "pydantic", "rectools"]  # the adapters need them, the pages do not
autosummary_generate = False
python_use_unqualified_type_names = True
add_module_names = False
toc_object_entries_show_parents = "hide"

myst_enable_extensions = ["attrs_inline", "deflist", "dollarmath", "fieldlist"]
myst_heading_anchors = 3
# Pages are run while they are built. tests/test_notebook.py runs the notebook, whose outputs are kept in the file.
nb_execution_mode = "force"
nb_execution_excludepatterns = ["laboratory.ipynb"]
nb_execution_raise_on_error = True
nb_execution_timeout = 120
nb_output_stderr = "warn"
nb_merge_streams = True

html_theme = "furo"
html_title = f"cymbals {release}"
html_static_path = ["_static"]
html_css_files = ["cymbals.css"]
html_math_renderer = "mathml"
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}


# Commands for the sizes of brackets, such as \\Bigl. docutils does not know them, and browsers do not need them.
SIZES = re.compile(r"\\[bB]igg?[lrm]?(?![a-zA-Z])")


def mathml(self, node):
    """A formula as MathML, which browsers draw without any script."""
    in_block = isinstance(node, nodes.math_block)
    try:
        found = latex2mathml.tex2mathml(SIZES.sub("", node.astext()), as_block=in_block)
    except MathError as error:
        logging.getLogger(__name__).warning("formula %r: %s", node.astext(), error, location=node)
        found = f"<code>{html.escape(node.astext())}</code>"
    self.body.append(f'<div class="formula">{found}</div>' if in_block else found)
    raise nodes.SkipNode


def signature(app, what, name, thing, options, arguments, returns):
    """The signature of a class's __init__. autodoc would show the signature of __new__, which takes any arguments."""
    if what != "class" or "__init__" not in vars(thing):
        return None
    arguments_of = list(inspect.signature(thing.__init__).parameters.values())[1:]
    plain = [argument.replace(annotation=inspect.Parameter.empty) for argument in arguments_of]
    return str(inspect.Signature(plain)), None


def setup(app):
    app.connect("autodoc-process-signature", signature)
    app.add_html_math_renderer("mathml", (mathml, None), (mathml, None))
