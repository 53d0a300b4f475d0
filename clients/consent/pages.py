"""The pages as HTML. Every value that comes from elsewhere is escaped where it is put in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from string import Template
from typing import Any

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title · Stadion</title>
$head<link rel="stylesheet" href="/oauth/consent.css">
</head>
<body>
<header>Stadion</header>
<main>
<h1>$title</h1>
$body
</main>
</body>
</html>
""")
_LOG_IN = Template("""$problem<p>$why</p>
<form method="post" action="/oauth/log-in">
<input type="hidden" name="request" value="$request">
<input type="hidden" name="seal" value="$seal">
<p><label for="login">Name or e-mail address</label>
<input id="login" name="login" autocomplete="username" autocapitalize="none" required maxlength="254"></p>
<p><label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required></p>
<p><label for="otp">Code of your second factor, if you have one</label>
<input id="otp" name="otp" inputmode="numeric" autocomplete="one-time-code" maxlength="12"></p>
<p><button>Log in</button></p>
</form>
""")
_CONSENT = Template("""$problem<p><strong>$name</strong>$of would like to act for you,
<strong>$handle</strong>. $vouched</p>
<form method="post" action="/oauth/consent">
<input type="hidden" name="request" value="$request">
<input type="hidden" name="ticket" value="$ticket">
<input type="hidden" name="seal" value="$seal">
<fieldset>
<legend>What do you let it do?</legend>
$choices
</fieldset>
<p>It can do so for at most $days days, and loses it after $unused days without use. You can take it back at
any time under <a href="/oauth/programs">programs that you have let in</a>.</p>
<p>You will be sent to <strong>$target</strong>.</p>
<p><button name="answer" value="agree">Agree to what I have ticked</button>
<button name="answer" value="refuse" class="second">Refuse</button></p>
</form>
$leave""")
_CHOICE = Template("""<div class="choice">
<input type="checkbox" id="scope-$number" name="scope" value="$scope">
<label for="scope-$number">$words <small>$classes</small></label></div>
""")
_LEAVE = Template("""<form method="post" action="/oauth/log-out">
<input type="hidden" name="seal" value="$seal">
<p>You are logged in as <strong>$handle</strong>. <button class="link">Log out</button></p>
</form>
""")
_PROGRAM = Template("""<section aria-labelledby="program-$number">
<h2 id="program-$number">$name</h2>
<ul>$can</ul>
<p>Let in on $since, last used on $used, until $until at most.</p>
<form method="post" action="/oauth/programs">
<input type="hidden" name="id" value="$id">
<input type="hidden" name="seal" value="$seal">
<p><button aria-describedby="program-$number">Take it back</button></p>
</form>
</section>
""")
_CLASSES = {
    "TRAINING": "training",
    "LOCATION": "places",
    "PERSONAL": "personal details",
    "SOCIAL": "social",
    "WELLNESS": "wellness",
    "CLINICAL": "medical record",
    "CLINICAL_RESTRICTED": "especially protected parts of it",
}


def log_in_page(*, request: str, seal: str, problem: str | None = None) -> str:
    """Where a person says who they are; `request` is what they are to be shown then."""
    why = "A program asks to act for you. Log in to see what it asks for." if request else "Log in to go on."
    return _page("Log in", _filled(_LOG_IN, why=why, request=request, seal=seal, problem=_alert(problem)))


def consent_page(
    asked: Mapping[str, Any],
    *,
    handle: str,
    request: str,
    target: str,
    seal: str,
    leave_seal: str,
    problem: str | None = None,
) -> str:
    """What a program asks for, with nothing ticked. `target` is the host that the browser goes to then."""
    organisation, vouched = asked["organisation"], asked["vouchedBy"]
    choices = "".join(
        _filled(
            _CHOICE,
            number=str(number),
            scope=each["scope"],
            words=each["words"],
            classes=_classes(each["dataClasses"]),
        )
        for number, each in enumerate(asked["meanings"])
    )
    body = _filled(
        _CONSENT,
        problem=_alert(problem),
        name=asked["client"]["name"],
        of=f" of {organisation}" if organisation else "",
        vouched=f"It was approved here by {' and '.join(vouched)}." if vouched else "",
        handle=handle,
        request=request,
        ticket=asked["ticket"],
        seal=seal,
        choices=_Markup(choices),
        days=str(asked["daysMax"]),
        unused=str(asked["daysUnusedMax"]),
        target=target,
        leave=_leave(handle, leave_seal),
    )
    return _page(f"Let {asked['client']['name']} in?", body)


def leaving_page(target: str, host: str) -> str:
    """Back to the program, without a script, and not by a form, whose way browsers would bar."""
    body = f'<p>You are sent back. <a href="{escape(target)}">Go on to {escape(host)}</a></p>'
    return _page("Done", body, head=f'<meta http-equiv="refresh" content="0;url={escape(target)}">\n')


def programs_page(
    authorizations: Sequence[Mapping[str, Any]], *, handle: str, seals: Sequence[str], leave_seal: str
) -> str:
    """What a person lets programs do, each with a way to take it back."""
    parts = [
        _filled(
            _PROGRAM,
            number=str(number),
            name=(each["client"] or {}).get("name") or "A program that is gone",
            can=_Markup("".join(f"<li>{escape(one['words'])}</li>" for one in each["meanings"] or ())),
            since=str(each["createdAt"])[:10],
            used=str(each["lastUsedAt"])[:10],
            until=str(each["expiresAt"])[:10],
            id=each["id"],
            seal=seal,
        )
        for number, (each, seal) in enumerate(zip(authorizations, seals, strict=True))
    ]
    none = "<p>You have let no program in.</p>\n"
    return _page("Programs that you have let in", ("".join(parts) or none) + _leave(handle, leave_seal))


def problem_page(title: str, told: str) -> str:
    """What went wrong. Nothing of the request is in it, and no way on that a request has chosen."""
    return _page(title, f'<p role="alert">{escape(told)}</p>')


class _Markup(str):
    """HTML that is put in as it is."""

    __slots__ = ()


def _filled(template: Template, **values: str) -> _Markup:
    safe = {name: value if isinstance(value, _Markup) else escape(value) for name, value in values.items()}
    return _Markup(template.substitute(safe))


def _page(title: str, body: str, *, head: str = "") -> str:
    return _filled(_PAGE, title=title, body=_Markup(body), head=_Markup(head))


def _alert(problem: str | None) -> _Markup:
    return _Markup(f'<p role="alert">{escape(problem)}</p>\n' if problem else "")


def _leave(handle: str, seal: str) -> _Markup:
    return _filled(_LEAVE, handle=handle, seal=seal)


def _classes(names: Sequence[str]) -> str:
    return f"({', '.join(_CLASSES.get(each, each.lower()) for each in names)})" if names else ""
