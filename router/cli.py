"""The command line. Heavy imports wait until a command needs them: worker processes import this module anew."""

import argparse
import asyncio
import getpass
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """Of all commands. The options of some take most of the program to be made: they are there where one is named."""
    parser = argparse.ArgumentParser(
        prog="hablemos", description="A self-hosted remote-sales contact centre.",
        epilog="Every option of serve is also an environment variable, e.g. HABLEMOS_PORT.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    demo = commands.add_parser("demo", help="everything on one machine, with a phone to play the customer")
    demo.add_argument("--data-dir", type=Path, default=Path("hablemos-demo"), help="default: ./hablemos-demo")
    demo.add_argument("--port", type=int, default=None, help="the service's port; 0 takes any free one (default 8080)")
    demo.add_argument("--walk", action="store_true", help="play the whole story unattended, check each step, and leave")
    demo.add_argument("--json", action="store_true", help="with --walk: print one JSON object")
    serve = commands.add_parser("serve", help="the service")
    _serving(serve)
    serve.add_argument("--host", help="where it listens (default 127.0.0.1)")
    serve.add_argument("--port", help="default 8080; 0 takes any free one")
    migrate = commands.add_parser("migrate", help="bring the database's schema up to date")
    _serving(migrate)
    doctor = commands.add_parser("doctor", help="check settings, database, clocks and carrier")
    _serving(doctor)
    apply = commands.add_parser("apply", help="apply a configuration file; shows the difference first")
    _serving(apply)
    apply.add_argument("file", type=Path, help="campaigns, queues, pages and agents (TOML), or a country's pack")
    apply.add_argument("--yes", action="store_true", help="do not ask")
    register = commands.add_parser(
        "register", help="take a do-not-call register's file in",
        description="One number a line: as written, in E.164, or the SHA-256 of its E.164 in hex. The file before "
        "counts until all of this one is there. Example: hablemos register list.csv --name robinson --as-of 2026-11-01",
    )
    _serving(register)
    register.add_argument("file", type=Path, help="the register's file, one number a line")
    register.add_argument("--name", required=True, help="the register's name, as the country packs have it")
    register.add_argument("--as-of", required=True, metavar="DATE", help="the day the file is of, e.g. 2026-11-01")
    register.add_argument("--country", default="ES", help="of numbers written without one (default ES)")
    alarms = commands.add_parser(
        "alarms", help="what was due, failed five times, and waits for a person",
        description="Lists it, or tries it again. Example: hablemos alarms --wake 17 --wake 18, or --wake all.",
    )
    _serving(alarms)
    alarms.add_argument("--wake", action="append", default=[], metavar="ID", help="try this one again, or all")
    verify = commands.add_parser("verify", help="verify a signed PDF, its certificate or a bundle, offline")
    verify.add_argument("file", type=Path, help="a signed PDF, a certificate of evidence, or a bundle (ZIP)")
    verify.add_argument(
        "--root", type=Path, help="the company's root certificate (PEM), which it publishes at /pki/root.pem"
    )
    verify.add_argument("--time-roots", type=Path, help="roots of timestamp authorities outside (PEM)")
    verify.add_argument("--seals", type=Path, help="the company's own seals under other roots (its /pki/seals.pem)")
    verify.add_argument("--language", default="en", help="of the answer: en, es, it or ru (default en)")
    verify.add_argument("--json", action="store_true", help="prints one JSON object")
    _authority_options(commands)
    simulation = commands.add_parser(
        "simulate", help="what a staffing would do: service level, waits, occupancy",
        description="Plays a day with the very rules that route real people. Example: hablemos simulate "
        "--arrivals-per-hour 200 --handle 180 --agents 10:es --agents 4:es,it=2 --needs 0.9:es --needs 0.1:it "
        "--patience 300",
    )
    if "simulate" in words:
        from router.whatif import options as simulating

        simulating(simulation)
    replay = commands.add_parser(
        "replay", help="a recorded time again, with other rules or agents, side by side",
        description="Plays what is on record with the very rules that route real people: as it was, and with a change. "
        "Example: hablemos replay --from 2026-11-23 --campaign luz --agents +2",
    )
    _serving(replay)
    if "replay" in words:
        from router.replay import options as replaying

        replaying(replay)
    plan = commands.add_parser(
        "plan", help="what the next days will bring: calls and messages by the hour, what is in the way, who is needed",
        description="Plays the next days forward with the very rules that call and write. "
        "Example: hablemos plan --days 14 --campaign luz --svg plan.svg",
    )
    _serving(plan)
    if "plan" in words:
        from router.plan import options as planning

        planning(plan)
    phonebox = commands.add_parser("phonebox", help="the local carrier alone")
    phonebox.add_argument("--port", type=int, default=8081, help="where it listens (default 8081)")
    phonebox.add_argument("--account", required=True, help="the carrier's account which it plays, AC and 32 digits")
    phonebox.add_argument("--token", required=True, help="that account's auth token, with which it signs")
    phonebox.add_argument("--log", type=Path, help="a file to which it writes what it was asked, a JSON object a line")
    phonebox.add_argument("--smtp-port", type=int, default=8025, help="where it takes mails (default 8025)")
    return parser


def _authority_options(commands: Any) -> None:
    kept = commands.add_parser("authority", help="the company's own authority: its certificates, its root's key")
    verbs = kept.add_subparsers(dest="verb", required=True, metavar="VERB")
    _serving(verbs.add_parser("show", help="what is valid until when"))
    export = verbs.add_parser(
        "export-root", help="take the root's key offline: into a file, encrypted, and out of the database",
        description="Asks for a passphrase. Example: hablemos authority export-root /media/stick/root.key",
    )
    _serving(export)
    export.add_argument("file", type=Path, help="the file that is made")
    export.add_argument("--keep", action="store_true", help="leave it in the database as well")
    use = verbs.add_parser("use-root", help="renew by the exported key what only the root can renew")
    _serving(use)
    use.add_argument("file", type=Path, help="the file that export-root made")
    revoke = verbs.add_parser("revoke-seal", help="take the seal's certificate back; a new one seals from now on")
    _serving(revoke)
    revoke.add_argument("--reason", default="superseded", help="as RFC 5280 names it, e.g. keyCompromise")


def _serving(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data-dir", help="where the embedded PostgreSQL lives (default ./hablemos-data)")
    parser.add_argument("--database-url", help="a PostgreSQL of your own instead: postgresql://user:password@host/name")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; its exit code. What a person can mend is said in one sentence, without a stack trace."""
    import uvloop

    words = sys.argv[1:] if arguments is None else arguments
    options = _parser(words).parse_args(words)
    try:
        return uvloop.run(_run(options))
    except KeyboardInterrupt:
        return 130
    except _mendable() as error:
        print(f"hablemos: {error}", file=sys.stderr)
        return 2


def _mendable() -> tuple[type[Exception], ...]:
    """The errors whose message says to a person what to mend."""
    from router.app import Refusal
    from router.embedded import EmbeddedError
    from router.model.configuration import WrongFile
    from router.settings import WrongSetting
    from router.whatif import WrongInput

    return WrongSetting, WrongFile, WrongInput, EmbeddedError, Refusal


async def _run(options: argparse.Namespace) -> int:
    commands = {
        "demo": _demo, "serve": _serve, "migrate": _migrate, "doctor": _doctor, "apply": _apply, "verify": _verify,
        "phonebox": _phonebox, "simulate": _simulate, "replay": _replay, "register": _register, "plan": _plan,
        "authority": _authority,
        "alarms": _alarms,
    }
    return await commands[options.command](options)


def _settings(options: argparse.Namespace) -> Any:
    from router.settings import Settings

    flags = {name: getattr(options, name, None) for name in ("host", "port", "data_dir", "database_url")}
    return Settings.from_env(None, **flags)


async def _demo(options: argparse.Namespace) -> int:
    from router.demo import run_demo

    return await run_demo(options.data_dir, options.port, walk=options.walk, as_json=options.json)


async def _serve(options: argparse.Namespace) -> int:
    from router.app import serve

    return await serve(_settings(options))


async def _migrate(options: argparse.Namespace) -> int:
    from router.app import database
    from router.store.migrations import migrate

    async with database(_settings(options)) as url:
        before, after = await migrate(url)
    print(f"schema {after}" if before == after else f"schema {before or 'empty'} → {after}")
    return 0


async def _doctor(options: argparse.Namespace) -> int:
    from router.app import doctor

    return await doctor(_settings(options))


async def _apply(options: argparse.Namespace) -> int:
    from router.app import apply_text

    text = (await asyncio.to_thread(_read, options.file)).decode("utf-8", "replace")

    def agree(changes: Sequence[object]) -> bool:
        print("\n".join(str(change) for change in changes))
        return options.yes or input("Apply? [y/N] ").strip().lower() in {"y", "yes", "s", "sí"}

    return await apply_text(_settings(options), text, agree)


async def _register(options: argparse.Namespace) -> int:
    from router.app import Refusal, take_register

    try:
        as_of = datetime.fromisoformat(options.as_of)
    except ValueError:
        raise Refusal("--as-of should be a day, e.g. 2026-11-01") from None
    as_of = as_of if as_of.tzinfo else as_of.replace(tzinfo=UTC)
    return await take_register(_settings(options), options.file, options.name, as_of, options.country.upper())


async def _authority(options: argparse.Namespace) -> int:
    from router.app import export_root, revoke_seal, show_authority, use_root

    settings = _settings(options)
    match options.verb:
        case "export-root":
            passphrase = await asyncio.to_thread(_passphrase, again=True)
            return await export_root(settings, options.file, passphrase, keep=options.keep)
        case "use-root":
            locked = await asyncio.to_thread(_read, options.file)
            return await use_root(settings, locked, await asyncio.to_thread(_passphrase, again=False))
        case "revoke-seal":
            return await revoke_seal(settings, options.reason)
        case _:
            return await show_authority(settings)


SHORTEST_PASSPHRASE = 12


def _passphrase(*, again: bool) -> str:
    """Typed twice where it is chosen; read from standard input where that is no terminal."""
    from router.app import Refusal

    if not sys.stdin.isatty():
        typed = sys.stdin.readline().rstrip("\n")
    else:
        typed = getpass.getpass("Passphrase: ")
        if again and getpass.getpass("Once more: ") != typed:
            raise Refusal("these were two different passphrases; nothing was done")
    if again and len(typed) < SHORTEST_PASSPHRASE:
        raise Refusal(f"a passphrase of at least {SHORTEST_PASSPHRASE} characters, please; nothing was done")
    return typed


async def _alarms(options: argparse.Namespace) -> int:
    from router.app import Refusal, parked_alarms

    if any(one != "all" and not (one.isascii() and one.isdecimal() and len(one) < 19) for one in options.wake):
        raise Refusal("--wake should be the number of an alarm, or all")
    return await parked_alarms(_settings(options), options.wake)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        from router.app import Refusal

        raise Refusal(f"{file}: {error.strerror}") from error


async def _verify(options: argparse.Namespace) -> int:
    from integrations.trust import EmbeddedTrust
    from router.model.authority import seals_in
    from router.ports import Trusted, UsedSeal
    from router.verifying import advice, lines, told
    from router.wording import LOCALES

    if options.language not in LOCALES:
        print(f"--language should be one of {', '.join(LOCALES)}.", file=sys.stderr)
        return 2
    content = await asyncio.to_thread(_read, options.file)
    root = await asyncio.to_thread(_read, options.root) if options.root else b""
    time_roots = await asyncio.to_thread(_read, options.time_roots) if options.time_roots else b""
    seals = await asyncio.to_thread(_read, options.seals) if options.seals else b""
    try:
        trusted = Trusted(seals=[UsedSeal(chain, until) for chain, until in seals_in(seals)])
    except ValueError:
        print("The seals should be the file which the company publishes at /pki/seals.pem.", file=sys.stderr)
        return 2
    for option, pem in (("--root", root), ("--time-roots", time_roots)):
        if pem and b"BEGIN CERTIFICATE" not in pem:
            print(f"{option} should be a file of certificates in PEM.", file=sys.stderr)
            return 2
    trust = EmbeddedTrust(time_roots=time_roots)
    try:
        seen = await lines(trust, content, root, trusted)
    finally:
        await trust.stop()
    holds, said = told(seen, as_json=options.json, locale=options.language)
    if said:
        print(said)
    if said_more := advice(seen, rooted=bool(root), locale=options.language):
        print(said_more, file=sys.stderr)
    return 0 if holds else 1


async def _simulate(options: argparse.Namespace) -> int:
    from router.whatif import run as simulate

    return simulate(options)


async def _replay(options: argparse.Namespace) -> int:
    from router.app import replay

    return await replay(_settings(options), options)


async def _plan(options: argparse.Namespace) -> int:
    from router.app import plan

    return await plan(_settings(options), options)


async def _phonebox(options: argparse.Namespace) -> int:
    from router.app import phonebox_alone

    return await phonebox_alone(options.account, options.token, options.port, options.log, options.smtp_port)


if __name__ == "__main__":
    sys.exit(main())
