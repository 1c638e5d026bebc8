"""Writing mails: what a template says in a language, kept once."""

from __future__ import annotations

from pathlib import Path

import pytest
from jinja2 import DictLoader, TemplateNotFound, UndefinedError

from app.mail.post import Mail
from app.stores.mails import KeptMail
from tests.api.running import Running

SAMPLE = """Your code for {{ place }}

{% trans %}A plain
sentence.{% endtrans %}

{{ link("/somewhere?a=1") }}
"""


@pytest.fixture
def mail(running: Running) -> Mail:
    """The platform's mail, with a template of the test's."""
    mail = running.platform.mail
    templates = mail.renderer._templates
    layouts = {
        f"mail/{name}": (Path("templates/mail") / name).read_text()
        for name in ("letter.html", "foot.txt")
    }
    templates.loader = DictLoader({"mail/sample.txt": SAMPLE, **layouts})
    return mail


async def only(mail: Mail) -> KeptMail:
    """The one mail there is."""
    (found,) = await mail.mails.newest()
    return found


async def test_a_mail_is_rendered_and_kept(mail: Mail) -> None:
    """The first line is the subject, the rest the text; links are whole addresses."""
    await mail.post(
        name="sample", to=" Ada@Example.org ", language="en", dedupe_key="1", place="Lyon & co"
    )
    kept = await only(mail)
    assert (kept.address, kept.subject) == ("ada@example.org", "Your code for Lyon & co")
    link = mail.renderer.link("/somewhere?a=1")
    assert kept.text == f"A plain sentence.\n\n{link}\n"
    assert link.startswith("http")
    assert "Lyon &amp; co" in kept.html
    assert f'href="{link}"' in kept.html


async def test_a_mail_is_kept_once(mail: Mail) -> None:
    """The same key queues one mail, however often it is asked for."""
    for place in ("Lyon", "Paris"):
        await mail.post(
            name="sample", to="a@example.org", language="en", dedupe_key="1", place=place
        )
    assert (await only(mail)).subject == "Your code for Lyon"


async def test_nobody_gets_no_mail(mail: Mail) -> None:
    """Without an address nothing is kept."""
    await mail.post(name="sample", to=" ", language="en", dedupe_key="1", place="Lyon")
    assert await mail.mails.newest() == []


async def test_a_subject_is_one_line(mail: Mail) -> None:
    """What is told cannot add a header: a line break in it ends nothing but the subject."""
    await mail.post(
        name="sample",
        to="a@example.org",
        language="en",
        dedupe_key="1",
        place="Lyon\r\nBcc: b@example.org",
    )
    kept = await only(mail)
    assert "\n" not in kept.subject
    assert "\r" not in kept.subject


@pytest.mark.parametrize("name", ["missing", "../base", "sample.txt", ""])
async def test_unknown_templates_are_refused(mail: Mail, name: str) -> None:
    """Only a template of this folder can be named."""
    with pytest.raises(TemplateNotFound):
        await mail.post(name=name, to="a@example.org", language="en", dedupe_key="1")


async def test_what_is_not_told_is_an_error(mail: Mail) -> None:
    """A template that asks for what it was not given makes no mail with a hole."""
    with pytest.raises(UndefinedError):
        await mail.post(name="sample", to="a@example.org", language="en", dedupe_key="1")
    assert await mail.mails.newest() == []
