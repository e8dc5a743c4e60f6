"""Examples of all commands, for their help, the reference and the manual page.

Imported only when a help is printed.
"""

from __future__ import annotations

PROGRAMS = ("python -m engine", "dicomdock")

EXAMPLES = {
    "engine": (
        "engine --metrics 127.0.0.1:9404",
        "--data /srv/dock engine --marker MOUNTED --receiving-processes 4",
    ),
    "receivers list": ("receivers list",),
    "receivers add": (
        "receivers add --ae-title CT --port 8110",
        "receivers add --ae-title TRIAL --port 8105 --identifier fixedProjectSubject "
        "--identifier-setting project=NEURO-01 --identifier-setting subject=S1",
    ),
    "receivers edit": (
        "receivers edit XNAT:8104 --direct-archive --duplicates reject",
        "receivers edit XNAT:8104 --whitelist CT1@10.1.0.0/16 --whitelist-enabled",
        "receivers edit XNAT:8104 --project-routing '(0008,1030):([^^]+)\\^.*:1' --routing-enabled",
        "receivers edit XNAT:8104 --limit associations_per_receiver=10",
    ),
    "receivers enable": ("receivers enable XNAT:8104",),
    "receivers disable": ("receivers disable XNAT:8104",),
    "receivers echo": ("receivers echo XNAT:8104",),
    "receivers retry": ("receivers retry XNAT:8104",),
    "receivers test-port": ("receivers test-port 8110",),
    "receivers delete": ("receivers delete XNAT:8104",),
    "whitelist test": ("whitelist test XNAT:8104 --calling CT1 --ip 10.1.7.7",),
    "whitelist lint": ("whitelist lint",),
    "whitelist propose": ("whitelist propose XNAT:8104 --calling CT1 --ip 10.1.7.7",),
    "projects list": ("projects list",),
    "projects show": ("projects show NEURO-01",),
    "projects add": ("projects add NEURO-01 --title Neurology --alias neuro",),
    "projects edit": (
        "projects edit NEURO-01 --auto-archive manual",
        "projects edit NEURO-01 --anonymization-script p.das --script-enabled",
    ),
    "projects delete": ("projects delete NEURO-01",),
    "processors classes": ("processors classes",),
    "processors list": ("processors list",),
    "processors add": (
        "processors add --label Scanners --class relabelFromTable --set file=/srv/labels.csv",
        "processors add --label PACS --class forwardCopy --set ae_title=PACS --set host=10.1.2.3 "
        "--set port=104",
    ),
    "processors edit": ("processors edit PACS --set max_attempts=20 --project NEURO-01",),
    "processors enable": ("processors enable PACS",),
    "processors disable": ("processors disable PACS",),
    "processors delete": ("processors delete PACS",),
    "processors test": ("processors test Scanners image.dcm --calling CT_1",),
    "study-routes list": ("study-routes list",),
    "study-routes add": ("study-routes add 1.2.840.1 --project NEURO-01 --subject S1",),
    "study-routes delete": ("study-routes delete 1.2.840.1",),
    "study-routes import": ("study-routes import studies.csv",),
    "sessions list": (
        "sessions list status:READY,CONFLICT since:24h",
        "sessions list area:archive project:NEURO-01 --json",
    ),
    "sessions show": ("sessions show 12",),
    "sessions objects": ("sessions objects 12 4",),
    "sessions why": ("sessions why 12",),
    "sessions archive": (
        "sessions archive 12 --dry-run",
        "sessions archive 12 13 --merge --wait 60",
    ),
    "sessions move": ("sessions move 12 --project NEURO-01",),
    "sessions edit": (
        "sessions edit 12 --subject S0042 --label S0042_MR1 --dry-run",
        "sessions edit 12 --project NEURO-02 --label E7 --wait 60",
    ),
    "sessions scans remove": ("sessions scans remove 12 4 6",),
    "sessions undo": ("sessions undo", "sessions undo 31"),
    "sessions delete": ("sessions delete 12",),
    "sessions restore": ("sessions restore 12",),
    "sessions rebuild": ("sessions rebuild 12 --wait 30",),
    "sessions cancel": ("sessions cancel 12",),
    "objects recent": ("objects recent",),
    "objects show": ("objects show 1.2.840.1.2.3",),
    "objects compare": ("objects compare 1.2.840.1.2.3",),
    "objects why": ("objects why 1.2.840.1.2.3",),
    "objects trail": ("objects trail 1.2.840.1.2.3",),
    "objects image": ("objects image 1.2.840.1.2.3 -o image.png",),
    "trace": ("trace 1.2.840.1.2.3", "trace A12345"),
    "check": ("check", "check --adopt"),
    "backup": (
        "backup -o /mnt/backups/dock.tar --objects",
        "backup --verify /mnt/backups/dock.tar",
    ),
    "restore": (
        "--data /srv/new restore /mnt/backups/dock.tar",
        "--data /srv/dock restore /mnt/backups/dock.tar --state-only",
    ),
    "site get": ("site get", "site get --script"),
    "site set": (
        "site set --limit associations=100 --sessions idle_seconds=600",
        "site set --script site.das --script-enabled",
        "site set --routing subject=@rules.txt --routing-enabled subject",
        "site set --no-receivers-allowed",
    ),
    "config history": ("config history",),
    "config show": ("config show 7",),
    "config diff": ("config diff", "config diff 5 7"),
    "config undo": ("config undo", "config undo --yes"),
    "config restore": ("config restore 7",),
    "config recover": ("config recover --list", "config recover --dry-run"),
    "config export": ("config export -o dock/", "config export"),
    "config validate": ("config validate dock/dicomdock.toml",),
    "config apply": (
        "config apply dock/dicomdock.toml --dry-run",
        "config apply dock/dicomdock.toml --prune",
    ),
    "import-xnat": (
        "import-xnat receivers.json",
        "import-xnat --url https://xnat.example --user admin --save xnat.json",
        "import-xnat xnat.json --apply",
    ),
    "export-xnat": ("export-xnat XNAT:8104",),
    "plugins": ("plugins",),
    "route": (
        "route STUDY/ --receiver XNAT --rules draft.txt",
        "route --recent --receiver XNAT",
    ),
    "rule": ("rule '(0010,0020):([^_]+)_.*' --value P1_S1",),
    "anonymize": (
        "anonymize site.das STUDY/ -o out/ --project P1 --subject S1 --session E1 --diff",
        "anonymize site.das image.dcm -o new.dcm --profile --retain device",
    ),
    "script check": ("script check site.das",),
    "script try": ("script try 1.2.840.1.2.3 site.das",),
    "script default": ("script default",),
    "peers list": ("peers list",),
    "peers add": ("peers add CT_1 --host ct1.hospital.example --port 104",),
    "peers edit": ("peers edit CT_1 --port 11112",),
    "peers delete": ("peers delete CT_1",),
    "peers echo": ("peers echo CT_1",),
    "commitments list": ("commitments list",),
    "commitments show": ("commitments show 7",),
    "commitments retry": ("commitments retry 7",),
    "import": (
        "import /media/cdrom --receiver XNAT:8104",
        "import study.zip old/ --receiver XNAT --report import.jsonl",
    ),
    "forwarding list": ("forwarding list",),
    "forwarding failed": ("forwarding failed PACS",),
    "forwarding retry": ("forwarding retry PACS",),
    "forwarding drop": ("forwarding drop PACS",),
    "commands list": ("commands list",),
    "commands drop": ("commands drop notify",),
    "echo": ("echo XNAT@127.0.0.1:8104", "echo PACS@10.1.2.3:2762 --tls --tls-ca ca.pem"),
    "send": (
        "send STUDY/ XNAT@127.0.0.1:8104 --calling CT1",
        "send ARCHIVE/ PACS@10.1.2.3:104 --jobs 4 --report sent.jsonl --resume",
    ),
    "selftest": ("selftest XNAT:8104 --calling CT1",),
    "status": ("status", "status --watch 5"),
    "events": (
        "events --since 2h --level WARN",
        "events --follow receiver:XNAT:8104 'kind:Association*'",
        "events --audit",
    ),
    "health": ("health",),
    "metrics": ("metrics",),
    "alerts list": ("alerts list",),
    "alerts set": (
        "alerts set ops --webhook @address.txt",
        "alerts set mail --kind storage --command /usr/local/bin/alert-mail --urgent",
    ),
    "alerts delete": ("alerts delete mail",),
    "alerts test": ("alerts test ops",),
    "associations list": ("associations list --live",),
    "associations show": ("associations show A-0412",),
    "associations abort": ("associations abort A-0412",),
    "senders list": ("senders list CT",),
    "senders show": ("senders show CT1 10.1.2.3 --week",),
    "service print": ("--data /srv/dock service print",),
    "service install": (
        "service install --dry-run",
        "--data /srv/dock service install --user dock --metrics 127.0.0.1:9404",
    ),
    "service uninstall": ("service uninstall",),
    "support-bundle": ("support-bundle -o bundle.tar.gz --check",),
    "completion": ("completion bash",),
    "help": ("help", "help receivers edit"),
    "version": ("version",),
    "demo": ("demo --headless --seconds 5",),
}
"""What follows ``dicomdock``, by the words of the command."""


def examples_of(program: str) -> tuple[str, ...]:
    """Return the examples of a command, by the name that its parser has."""
    known = next((name for name in PROGRAMS if program.startswith(name)), "")
    words = program.removeprefix(known).strip()
    return tuple(f"dicomdock {example}" for example in EXAMPLES.get(words, ()))
