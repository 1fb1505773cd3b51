"""A contact sheet: one page with every picture of the archive."""

import html
from pathlib import Path

_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>netty: {count} pictures</title>
<style>
  :root {{ color-scheme: dark light }}
  body {{ font: 1rem system-ui; margin: 2rem }}
  h2 {{ font-size: .9rem; font-weight: normal; overflow-wrap: anywhere; opacity: .7 }}
  section {{ display: flex; flex-wrap: wrap; gap: .4rem }}
  img {{ height: 10rem; background: black }}
</style>
<h1>{count} pictures of {studies} studies</h1>
{sections}
</html>
"""


def write(images: Path, page: Path) -> int:
    """Write `page` with every picture below `images`, study by study; the number of pictures."""
    studies = {
        study.name: sorted(file for file in study.rglob("*") if file.is_file())
        for study in sorted(images.iterdir())
    }
    sections = (
        f"<h2>{html.escape(study)}</h2>\n<section>{''.join(_picture(f, page) for f in files)}"
        "</section>"
        for study, files in studies.items()
    )
    count = sum(map(len, studies.values()))
    page.write_text(
        _PAGE.format(count=count, studies=len(studies), sections="\n".join(sections)),
        encoding="utf-8",
    )
    return count


def _picture(file: Path, page: Path) -> str:
    address = html.escape(file.relative_to(page.parent).as_posix())
    return f'<a href="{address}"><img loading="lazy" src="{address}" alt=""></a>\n'
