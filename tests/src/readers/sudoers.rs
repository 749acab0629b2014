//! sudoers with everything it includes, as three versions of sudo read it; sudo.conf, nsswitch.conf.

use std::ffi::OsString;
use std::path::Path;

use rescind_agent::sudoers::files::SUDOERS;
use rescind_agent::sudoers::policy::{Answer, CommandLine, Decision};
use rescind_agent::sudoers::tree::{Member, Span, What};
use rescind_agent::sudoers::{
    Dialect, HostNames, Policy, ReadProblem, Subject, Sudoers, SudoersFiles, nsswitch, parse,
    sudo_conf,
};

use super::alice::{alice, root};
use super::cost::alone;
use super::told::{holds_no_control, is_told_safely};
use super::tree::Tree;
use super::{Target, nothing_made};

pub const TARGET: Target = Target {
    name: "sudoers",
    read,
    words: &[
        "alice ALL=(ALL:ALL) NOPASSWD: ALL\n",
        "%ops",
        "%#1500",
        "#1000",
        "+admins",
        "!",
        "ALL",
        "= ",
        "(root)",
        "User_Alias ADMINS = alice, bob\n",
        "Cmnd_Alias SHELLS = /bin/sh, /bin/*sh\n",
        "Runas_Alias DB = postgres\n",
        "Host_Alias WEB = web*, 10.0.0.0/8\n",
        "Defaults",
        "Defaults:alice !authenticate\n",
        "Defaults!SHELLS",
        "Defaults@WEB",
        "Defaults>root",
        "rootpw",
        "targetpw",
        "runas_default=alice",
        "env_keep += \"A B\"",
        "@include /etc/sudoers.d/a\n",
        "#include ",
        "@includedir /etc/sudoers.d\n",
        "==> /etc/sudoers.d/a <==\n",
        "==> /etc/sudoers.d/b.c <==\n",
        "%h",
        "\\\n",
        "\\,",
        "\\ ",
        "\"",
        "sha256:",
        "sudoedit /etc/x",
        "NOEXEC:",
        "SETENV:",
        "TIMEOUT=1d2h",
        "NOTBEFORE=20200101000000Z ",
        "CWD=/tmp ",
        "CHROOT=* ",
        "ROLE=x ",
        "^/bin/[a-z]+$",
        "fe80::/10",
        "255.255.255.0",
        "ALL, !ALL",
        ":",
        "list",
        "Plugin sudoers_policy sudoers.so sudoers_file=/x\n",
        "sudoers: files sss\n",
    ],
    made: nothing_made,
    rooms: &["agent/src/sudoers", "agent/src/rights/sudo.rs"],
};

fn read(bytes: &[u8]) {
    let tree = Tree::parse(bytes, SUDOERS);
    for dialect in [Dialect::Sudo1_9_5, Dialect::Sudo1_9_13, Dialect::Sudo1_9_16] {
        alone(|| {
            let sudoers = parse(&tree, Path::new(SUDOERS), b"web1", dialect);
            places(&sudoers, &tree);
            answers(&sudoers);
        });
    }
    let sources = nsswitch::sources(Some(bytes));
    assert!(
        sources.files || !sources.others.is_empty(),
        "rules come from somewhere"
    );
    if let sudo_conf::Decider::Plugin(name) = sudo_conf::decider(Some(bytes)) {
        is_told_safely(&name);
    }
    let _any = Dialect::of_version(&String::from_utf8_lossy(bytes));
}

/// Every part of the policy is where it says it is.
fn places(sudoers: &Sudoers, tree: &Tree) {
    let of_span = |span: Span| {
        let file = &sudoers.files[span.file as usize];
        let lines = tree.lines(&file.path).expect("a file that was read");
        let bytes = tree.get(&file.path).expect("a file that was read");
        assert_eq!(file.size as usize, bytes.len());
        assert!(
            span.start <= span.end && span.end <= file.size,
            "{span:?} of {file:?}"
        );
        assert!(1 <= span.line && span.line <= span.last_line, "{span:?}");
        assert!(
            span.last_line <= lines.max(1) + 1,
            "{span:?} of {lines} lines"
        );
    };
    let of_members = |members: &[Member]| {
        for member in members {
            of_span(member.span);
            if let What::Command(command) = &member.what {
                holds_no_control(&format!("{command:?}"));
            }
        }
    };
    for spec in &sudoers.specs {
        of_span(spec.span);
        of_members(&spec.users);
        for privilege in &spec.privileges {
            of_members(&privilege.hosts);
            for rule in &privilege.rules {
                of_span(rule.span);
                of_members(std::slice::from_ref(&rule.command));
            }
        }
    }
    for alias in sudoers.aliases.values().flat_map(|names| names.values()) {
        of_span(alias.span);
        of_members(&alias.members);
    }
    for default in &sudoers.defaults {
        of_span(default.span);
        of_span(default.line_span);
        of_members(&default.binding);
    }
    for finding in &sudoers.findings {
        if let Some(span) = finding.at.filter(|_| !sudoers.files.is_empty()) {
            of_span(span);
        }
        is_told_safely(&finding.kind.to_string());
    }
    for unread in &sudoers.unread {
        is_told_safely(&unread.reason);
    }
}

fn answers(sudoers: &Sudoers) {
    let host = HostNames::new(b"web1.example", None);
    let (alice, root) = (Subject::from(&alice()), Subject::from(&root()));
    let policy = Policy {
        sudoers,
        host: &host,
        root: &root,
        other_sources: &[],
        now_unix: 1_800_000_000,
    };
    let settings = policy.settings(&alice);
    assert!(settings.runas_default.len() <= 8 << 20);
    let shell = CommandLine::bare(b"/bin/sh");
    for (line, target) in [
        (CommandLine::Any, &root),
        (shell, &root),
        (CommandLine::bare(b"/bin/true"), &alice),
    ] {
        match policy.decide(&alice, target, &line) {
            Decision::Allowed { source, .. } => is_told_safely(&source.to_string()),
            Decision::Denied { source } => {
                source
                    .iter()
                    .for_each(|source| is_told_safely(&source.to_string()));
            }
            Decision::Unknown { why, .. } => {
                why.iter().for_each(|why| is_told_safely(&why.to_string()))
            }
        }
    }
    match policy.root_equivalent(&alice) {
        Answer::Yes(way) | Answer::Likely(way) => is_told_safely(&way.reason),
        Answer::No => {}
        Answer::Unknown { mut why, .. } => {
            assert!(!why.is_empty(), "there is a reason not to know");
            let told = why.len();
            why.sort();
            why.dedup();
            assert_eq!(why.len(), told, "each reason is told once");
            why.iter().for_each(|why| is_told_safely(&why.to_string()));
        }
    }
    // What we did not read to its end sudo may not have refused.
    if sudoers.refused.is_some() && sudoers.unread.is_empty() {
        assert_eq!(policy.root_equivalent(&alice), Answer::No);
    }
    let (grants, _) = policy.grants(&alice);
    for grant in grants.iter().take(100) {
        is_told_safely(&grant.source.to_string());
    }
}

impl SudoersFiles for Tree {
    fn read(&self, path: &Path) -> Result<Vec<u8>, ReadProblem> {
        self.get(path)
            .map(<[u8]>::to_vec)
            .ok_or(ReadProblem::Missing)
    }

    fn list(&self, directory: &Path) -> Result<Vec<OsString>, ReadProblem> {
        Tree::list(self, directory).ok_or(ReadProblem::Missing)
    }
}
