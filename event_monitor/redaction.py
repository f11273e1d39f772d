"""Redaction: URLs, and what others say of them, shown without any password.

Pure but for the secrets that ``remember_secrets`` keeps for the life of the process.

A URL may be mistyped in a way that moves the password to where a parser sees host, port or path.
So nothing of it is shown that is not certainly no part of a password.
"""

from __future__ import annotations

import json
import logging
import re
from collections import deque
from collections.abc import Iterator
from urllib.parse import parse_qsl, quote, unquote, urlsplit

__all__ = [
    "ACCESS_KEY",
    "MASK",
    "is_parsable",
    "log_no_keys",
    "mistake_in",
    "password_in",
    "remember_keys",
    "remember_secrets",
    "shown_url",
    "without_keys",
    "without_named_secrets",
    "without_secrets",
]

MASK = "**"
ACCESS_KEY = re.compile(r"[A-Z0-9]{16,128}")  # the id of a pair of AWS's keys, which is no secret

_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]{0,30}")
_NEXT_URL = re.compile(rf";(?={_SCHEME.pattern}://)")  # in a list of URLs to fail over to
_HOST = r"(?:\[[0-9a-fA-F:.]+\]|[\w.%-]*)(?::\d{0,5})?"
_PLACE = re.compile(rf"/*{_HOST}(?:,{_HOST})*(?:/[^\s?#@;]*)?")
_MISTYPED_PLACE = re.compile(rf"[a-z]+:/{_HOST}(?:/[^\s?#@;]*)?")  # redis:/host/0
_USER = re.compile(r"([\w.+-]{1,64}):[^@:/?#]+")
_SQS = "sqs://"  # its user and password are a pair of AWS's keys
_REDIS = ("redis://", "rediss://", "sentinel://")
_NO_TOKEN = re.compile(r"(py)?amqps?://[^:@]*@")  # RabbitMQ knows no user without a password
_URL_IN_TEXT = re.compile(r"(?<![a-zA-Z0-9+.-])[a-zA-Z][a-zA-Z0-9+.-]{0,30}://\S*")
_MISLEADING = re.compile(r"[#/?@:;\[\]]")  # what ends a part of a URL
_SECRET_NAME = re.compile("pass|secret|token", re.IGNORECASE)  # in a query
# What is called a secret, and its value: `password=…`, `'api_key': '…'`, `"token": "…"`.
_NAMED_SECRET = re.compile(
    r"""((?:pass(?:word|wd|phrase)?|secret|token|api[_-]?key|access[_-]?key
    |private[_-]?key|authorization|credentials?)[\w-]{0,40}['"]?\s{0,3}(?:=|:)\s{0,3})
    ('[^'\n]*'?|"[^"\n]*"?|(?:(?:Bearer|Basic)\s+)?[^\s,;)}\]'"]+)""",
    re.IGNORECASE | re.VERBOSE,
)
# As long as a secret key of AWS's, or longer as a session token, and no path or hash.
_LOOKS_RANDOM = re.compile(r"(?<![\w/+=-])(?=\S*\d)(?=\S*[A-Z])(?=\S*[a-z])[\w/+=-]{40,}", re.ASCII)
# What a command says may be a secret of any length: letters and digits mixed, but for paths.
_PROCESS = "custom-process: "
_MIXED = re.compile(
    r"(?<!\S)(?![~/])(?!\S*:/)\S*?(?:(?<![^\W_])(?=[^\W\d_]*\d)(?=\d*[^\W\d_])[^\W_]{6,})\S*"
)
# Or letters alone, and too many for a word, or for one of a program's, such as ExpiredTokenError.
_NO_NAME = re.compile(
    r"(?<![\w/.])(?!(?:[A-Z]?[a-z]+(?:[A-Z][a-z]+)*)(?![A-Za-z]))[A-Za-z]{16,}|[A-Za-z]{32,}"
)
_BAD_VALUE = re.compile(r"(\bvalue: ).*?(, (?:type|valid))", re.DOTALL)  # botocore quotes it
_BAD_HEADER = re.compile(r"(Invalid header value ).*", re.DOTALL)  # http.client quotes a token
_PUNCTUATION = "'\"`.,;:!)]}>"  # what may follow a URL in a sentence
_MOST_CHARACTERS = 100_000  # looked through; an answer of a stranger may have millions
_NO_WORD = 12  # characters; a longer secret is masked also in the middle of a word
_SHORTEST_SECRET = 4  # characters; masking a shorter one would cut words to pieces

_secrets: set[str] = set()
_keys: deque[str] = deque(maxlen=16)  # the last of those that change: of AWS, each few hours


# -- one URL --------------------------------------------------------------------------------------


def shown_url(url: str) -> str:
    """Return a URL, or several joined by ``;``, as it may be printed: user, host, port and path.

    Password, query and fragment are masked; so is everything that could be a part of a password
    that was not percent-encoded, and a user without a password, which may be a token. A path is
    masked where it is the password once more, and for Redis where it is no number of a database.
    """
    return ";".join(map(_shown, _NEXT_URL.split(url)))


def _shown(url: str) -> str:
    scheme, rest = _scheme_and_rest(url)
    user_and_password, at, place = rest.rpartition("@")
    if "?" in user_and_password:  # the @ may stand in the query: nothing is certain
        return scheme + MASK
    mark = next((mark for mark in "?#" if mark in place), "")
    if mark:
        place = place.partition(mark)[0]
    known = _PLACE if scheme or at else re.compile(f"{_PLACE.pattern}|{_MISTYPED_PLACE.pattern}")
    shown = place if known.fullmatch(place) and place.isprintable() else MASK
    beginning, slash, path = shown.rpartition("/")
    password = user_and_password.partition(":")[2]
    if slash and path and (unquote(path) == unquote(password) or _is_no_database(scheme, path)):
        shown = f"{beginning}/{MASK}"
    return f"{scheme}{_shown_user(user_and_password, scheme) if at else ''}{shown}" + (
        mark and mark + MASK
    )


def _is_no_database(scheme: str, path: str) -> bool:
    """Return whether a path cannot be the number of Redis's database, so that it may be a secret.

    Without a scheme, or with that of a socket in a file system, it may be anything.
    """
    return scheme.lower() in _REDIS and not unquote(path).isdecimal()


def _shown_user(user_and_password: str, scheme: str) -> str:
    if scheme and user_and_password.startswith(":"):
        return f":{MASK}@"
    user = _USER.fullmatch(user_and_password) if scheme else None
    if user and scheme.lower() == _SQS and not ACCESS_KEY.fullmatch(user[1]):  # they are swapped
        user = None
    return f"{user[1]}:{MASK}@" if user else f"{MASK}@"


def _scheme_and_rest(url: str) -> tuple[str, str]:
    """Return the scheme with its ``://``, empty if there is none, and what follows."""
    scheme, separator, rest = url.partition("://")
    if separator and _SCHEME.fullmatch(scheme):
        return scheme + separator, rest
    return "", url


def password_in(url: str) -> bool:
    """Return whether a URL, or one of several joined by ``;``, holds a password or a token."""
    return any(
        (MASK in shown_url(part).partition("?")[0] and not _NO_TOKEN.match(part))
        or _SECRET_NAME.search(part.partition("?")[2]) is not None
        for part in _NEXT_URL.split(url)
    )


def mistake_in(url: str) -> str | None:
    """Return why one broker URL can never work, as the end of a sentence; None if it may work.

    The reason holds nothing of the URL.
    """
    scheme, rest = _scheme_and_rest(url)
    if not scheme and "://" in url:
        return "before its :// stands no scheme; in a password : and / must be percent-encoded"
    user_and_password, _at, place = rest.rpartition("@")
    found = sorted(set(user_and_password) & set("/?#"))
    if found:
        return (
            f"there is {' and '.join(found)} before its last @; in a password each of "
            "# / ? @ : ; must be percent-encoded, as %23 %2F %3F %40 %3A %3B"
        )
    if set(rest) & set("\t\r\n"):  # a parser leaves them out
        return "there is a tab or a line break in it, which must be percent-encoded"
    if "#" in place:
        return "there is a # in it, which must be percent-encoded as %23"
    if not is_parsable(url):
        return (
            "host and port must be HOST or HOST:PORT with a port from 1 to 65535; a password "
            "stands before an @, and each of # / ? @ : ; [ ] in it must be percent-encoded"
        )
    return None


def is_parsable(url: str) -> bool:
    """Return whether a parser finds host and port in a URL; one without a scheme is let pass."""
    scheme, rest = _scheme_and_rest(url)
    try:
        return urlsplit(f"http://{rest}").port != 0 if scheme else "://" not in url
    except ValueError:
        return False


# -- what others say ------------------------------------------------------------------------------


def remember_secrets(*urls: str) -> None:
    """Mask the passwords of these URLs, and the URLs as they are, in all that others say."""
    for url in urls:
        for part in _NEXT_URL.split(url):
            shown = shown_url(part)
            _secrets.update(
                form
                for secret in _secrets_of(part)
                # A password that is also the name of host or user cannot be kept.
                if len(secret) >= _SHORTEST_SECRET and secret not in shown
                for form in _forms_of(secret)
            )


def remember_keys(*keys: str) -> None:
    """Mask these in all that others say; of several hundred only the last few."""
    _keys.extend(key for key in keys if len(key) >= _SHORTEST_SECRET and key not in _keys)


def _secrets_of(url: str) -> Iterator[str]:
    """Yield what must not be seen of one URL: itself, its password, and the parts of that.

    A parser that takes a part of the password for the host or the port names it in its complaint.
    """
    scheme, rest = _scheme_and_rest(url)
    user, colon, password = rest.rpartition("@")[0].partition(":")
    secret = password if colon else user
    is_one = "@" not in rest and ";" not in rest  # in a list, others may have their host
    if is_one and MASK in shown_url(url).partition("?")[0]:  # it lacks the host
        secret = rest.partition(":")[2]
    if scheme.lower() == _SQS:
        yield from (user, unquote(user))
    yield from (url, secret, unquote(secret), *_MISLEADING.split(secret))
    query = parse_qsl(url.partition("?")[2])
    yield from (value for name, value in query if _SECRET_NAME.search(name))


def _forms_of(secret: str) -> set[str]:
    """Return how others may write it: as it is, as Python's, as JSON, in a URL."""
    in_url = quote(secret, safe="", errors="replace")  # a variable may hold lone surrogates
    return {secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], in_url}


def log_no_keys() -> None:
    """Let nothing below INFO be logged by botocore and urllib3: what is signed, tokens, keys.

    Each logger below theirs may have been given a level of its own.
    """
    roots = ("botocore", "urllib3")
    below = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] in roots]
    for name in (*roots, *below):
        logger = logging.getLogger(name)
        logger.setLevel(max(logger.getEffectiveLevel(), logging.INFO))


def without_secrets(text: str) -> str:
    """Return what others say with the passwords masked: in every URL, and those remembered."""
    if len(text) > _MOST_CHARACTERS:  # cut at a blank, so that no half of a secret is left
        text = f"{text[:_MOST_CHARACTERS].rpartition(' ')[0]} …"
    for secret in sorted((*_secrets, *_keys), key=len, reverse=True):
        if secret in text and len(secret) >= _NO_WORD:
            text = text.replace(secret, MASK)
        elif secret in text:
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", lambda _: MASK, text)
    if "://" not in text:
        return text
    return "\n".join("".join(_without_urls(line)) for line in text.split("\n"))


def without_named_secrets(text: str) -> str:
    """Return the text with the values masked whose name says that they are secret."""
    return _NAMED_SECRET.sub(rf"\1{MASK}", text)


def without_keys(text: str) -> str:
    """Return what a provider of credentials says, without what it may show of them.

    Nobody has told us the keys yet: a script may trace itself, or print what it was to give.
    """
    text, process, said = text.partition(_PROCESS)
    text = f"{text}{process}{_NO_NAME.sub(MASK, _MIXED.sub(MASK, said))}"
    text = _BAD_VALUE.sub(rf"\1{MASK}\2", text)
    text = _BAD_HEADER.sub(rf"\1{MASK}", without_named_secrets(text))
    return _LOOKS_RANDOM.sub(MASK, text)


def _without_urls(line: str) -> Iterator[str]:
    done = 0
    while (found := _URL_IN_TEXT.search(line, done)) is not None:
        yield line[done : found.start()]
        url, done = found[0], found.end()
        bare = url.rstrip(_PUNCTUATION)
        shown = shown_url(bare)
        if shown != bare and shown.endswith(MASK) and "@" in line[done:]:
            # A password with a blank in it: it ends at the last @ of the line.
            done += line[done:].rindex("@") + 1
            yield shown
            continue
        yield shown + url[len(bare) :]
    yield line[done:]
