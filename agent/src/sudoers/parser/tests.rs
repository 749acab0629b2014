use super::super::testing::Files;
use super::super::tree::{Command, What};
use super::*;
use crate::random::Random;

/// One line per user specification, with what is in it in plain words.
fn outline(policy: &Sudoers) -> Vec<String> {
    let bytes = |text: &[u8]| text.escape_ascii().to_string();
    let member = |member: &Member| {
        let what = match &member.what {
            What::All => "ALL".into(),
            What::Myself => "(self)".into(),
            What::Alias(name) => format!("<{}>", bytes(name)),
            What::Word(text)
            | What::UserGroup(text)
            | What::NetGroup(text)
            | What::Network(text) => bytes(text),
            What::Command(Command {
                path,
                args,
                digests,
            }) => {
                let digests: String = digests
                    .iter()
                    .map(|d| format!("{}:{} ", d.kind.word(), bytes(&d.text)))
                    .collect();
                let path = path.as_deref().map_or("ALL".into(), bytes);
                let args = args.as_deref().map(|args| format!(" {}", bytes(args)));
                format!("{digests}{path}{}", args.unwrap_or_default())
            }
        };
        format!("{}{what}", if member.negated { "!" } else { "" })
    };
    let list = |members: &[Member]| members.iter().map(member).collect::<Vec<_>>().join(",");
    let spec = |spec: &UserSpec| {
        let privileges = spec.privileges.iter().map(|privilege| {
            let rules = privilege.rules.iter().map(|rule| {
                let runas = rule.runas.as_deref().map(|runas| {
                    let part = |list_of: &Option<Vec<Member>>| {
                        list_of.as_deref().map_or(String::new(), list)
                    };
                    format!("({}:{})", part(&runas.users), part(&runas.groups))
                });
                let nopasswd = match rule.tags.nopasswd {
                    Some(true) => "NOPASSWD ",
                    Some(false) => "PASSWD ",
                    None => "",
                };
                format!(
                    "{}{nopasswd}{}",
                    runas.unwrap_or_default(),
                    member(&rule.command)
                )
            });
            format!(
                "{}={}",
                list(&privilege.hosts),
                rules.collect::<Vec<_>>().join(" ; ")
            )
        });
        format!(
            "{} {}",
            list(&spec.users),
            privileges.collect::<Vec<_>>().join(" : ")
        )
    };
    policy.specs.iter().map(spec).collect()
}

fn check(text: &str, expected: &[&str]) {
    let policy = Files::sudoers(text).parse(Dialect::Sudo1_9_16);
    assert_eq!(outline(&policy), expected, "{text}");
    assert_eq!(policy.refused, None, "{text}");
}

#[test]
fn ids_and_includes_are_not_comments() {
    check("#1000 ALL=ALL\n# 1000 ALL=ALL\n#\n#x\n", &["#1000 ALL=ALL"]);
    check(
        "%#27,%:ad,%adm ALL = (#0:#4) ALL # why\n",
        &["%#27,%:ad,%adm ALL=(#0:#4)ALL"],
    );
    let files = Files::sudoers("#include extra\n#includedir /etc/sudoers.d # x\n")
        .with("/etc/extra", "alice ALL=ALL")
        .with("/etc/sudoers.d/20-b", "b ALL=ALL")
        .with("/etc/sudoers.d/10-a", "a ALL=ALL\\\n")
        .with("/etc/sudoers.d/john.doe", "c ALL=ALL")
        .with("/etc/sudoers.d/backup~", "d ALL=ALL");
    let policy = files.parse(Dialect::Sudo1_9_13);
    // The backslash at the end of 10-a joins it with 20-b, and the two are nonsense together.
    assert_eq!(outline(&policy), ["alice ALL=ALL"]);
    let kinds: Vec<String> = policy.findings.iter().map(|f| f.kind.to_string()).collect();
    assert_eq!(
        kinds,
        [
            "/etc/sudoers.d/backup~: sudo ignores names with a dot or a final tilde",
            "/etc/sudoers.d/john.doe: sudo ignores names with a dot or a final tilde",
            "sudo ignores this line: unexpected text after a rule",
        ]
    );
}

#[test]
fn lines_go_on_and_bad_ones_are_skipped() {
    check(
        "alice ALL = \\\n   /bin/ls \\\n -l , \\\n\t/bin/cat\nbob nonsense\ncarol ALL=ALL\n",
        &["alice ALL=/bin/ls -l ; /bin/cat", "carol ALL=ALL"],
    );
    check(
        "alice ALL=ALL : web1\nbob ALL=ALL : web1 = ls\ncarol ALL=ALL : web1=ALL x\n",
        &["alice ALL=ALL", "bob ALL=ALL"],
    );
    check("alice ALL=/bin/ls\r\nbob ALL=ALL\r\n", &["bob ALL=ALL"]);
}

#[test]
fn a_complete_alias_stands_even_on_a_bad_line() {
    let text = "User_Alias A = alice : B = bob carol\nUser_Alias A = x : C = y\nHost_Alias A=h\n";
    let policy = Files::sudoers(text).parse(Dialect::Sudo1_9_16);
    let names: Vec<_> = policy
        .aliases
        .iter()
        .flat_map(|(kind, aliases)| aliases.keys().map(|name| (*kind, name.as_slice())))
        .collect();
    assert_eq!(
        names,
        [
            (AliasKind::User, &b"A"[..]),
            (AliasKind::User, b"B"),
            (AliasKind::Host, b"A"),
        ]
    );
    assert_eq!(policy.findings.len(), 2);
}

#[test]
fn tags_and_runas_stick() {
    check(
        "alice ALL=(root) NOPASSWD: /bin/a, (bob:adm) /bin/b, PASSWD : !/bin/c, () ALL\n",
        &[
            "alice ALL=(root:)NOPASSWD /bin/a ; (bob:adm)NOPASSWD /bin/b ; (bob:adm)PASSWD !/bin/c ; ((self):)PASSWD ALL",
        ],
    );
    check(
        "alice ALL=!!!/bin/a, !!/bin/b, sudoedit /etc/a\\:b, /usr/bin/sudoedit, /bin/, ^/bin/x$ ^a,b$\n",
        &["alice ALL=!/bin/a ; /bin/b ; sudoedit /etc/a:b ; sudoedit ; /bin/ ; ^/bin/x$ ^a,b$"],
    );
}

#[test]
fn quotes_and_escapes() {
    check(
        "\"al ice\",al\\ ice,\"%do main\",\\x61lice ALL=ALL\n",
        &["al ice,al ice,%do main,alice ALL=ALL"],
    );
    check("\"alice\nbob ALL=ALL\n", &["bob ALL=ALL"]);
}

#[test]
fn versions_differ() {
    let text = "@include missing\nalice ALL=(:adm) ALL\nbob ALL=list, ^/bin/x$\n";
    let of = |dialect| outline(&Files::sudoers(text).parse(dialect));
    assert_eq!(of(Dialect::Sudo1_9_5), Vec::<String>::new());
    assert_eq!(
        of(Dialect::Sudo1_9_13),
        ["alice ALL=(:adm)ALL", "bob ALL=list ; ^/bin/x$"]
    );
    assert_eq!(
        of(Dialect::Sudo1_9_16),
        ["alice ALL=((self):adm)ALL", "bob ALL=list ; ^/bin/x$"]
    );
}

#[test]
fn a_statement_without_end_throws_everything_away() {
    let policy = Files::sudoers("alice ALL=ALL\nbob ALL=ALL \\").parse(Dialect::Sudo1_9_16);
    assert!(matches!(policy.refused, Some(Refused::UnfinishedStatement { at }) if at.line == 2));
}

#[test]
fn problems_with_files() {
    let policy = Files::default().parse(Dialect::Sudo1_9_16);
    assert_eq!(policy.refused, Some(Refused::Missing));
    let broken = ReadProblem::Other("i/o error".into());
    let policy = Files::sudoers("@include a\n@includedir d\nalice ALL=ALL\n")
        .without("/etc/a", broken.clone())
        .without("/etc/d", ReadProblem::Refused("is world writable".into()))
        .parse(Dialect::Sudo1_9_16);
    assert_eq!(outline(&policy), ["alice ALL=ALL"]);
    assert_eq!(
        policy.unread,
        [Unread {
            path: "/etc/a".into(),
            reason: "i/o error".into()
        }]
    );
    assert_eq!(policy.findings.len(), 2);
}

#[test]
fn files_that_include_themselves_end() {
    let policy = Files::sudoers("alice ALL=ALL\n@include sudoers\n@include sudoers\n")
        .parse(Dialect::Sudo1_9_16);
    assert_eq!(policy.files.len(), super::super::files::FILES_MAX);
    assert_eq!(
        policy.unread,
        [Unread {
            path: "/etc/sudoers".into(),
            reason: "more than 2000 files were included".into()
        }]
    );
}

#[test]
fn spans_cut_out_the_statement() {
    let text =
        "# x\n  alice ALL = \\\n   NOPASSWD: /bin/ls -l , !/bin/cat # why\nUser_Alias A = b\n";
    let policy = Files::sudoers(text).parse(Dialect::Sudo1_9_16);
    let cut = |span: Span| &text[span.start as usize..span.end as usize];
    let spec = &policy.specs[0];
    assert_eq!(
        cut(spec.span),
        "alice ALL = \\\n   NOPASSWD: /bin/ls -l , !/bin/cat"
    );
    assert_eq!((spec.span.line, spec.span.last_line), (2, 3));
    assert_eq!(
        cut(spec.privileges[0].rules[0].span),
        "NOPASSWD: /bin/ls -l"
    );
    assert_eq!(cut(spec.privileges[0].rules[1].command.span), "!/bin/cat");
    assert_eq!(
        cut(policy.alias(AliasKind::User, b"A").expect("defined").span),
        "A = b"
    );
}

#[test]
fn whatever_the_bytes_reading_ends_and_places_are_in_the_file() {
    const PIECES: [&[u8]; 36] = [
        b"alice",
        b"ALL",
        b"A",
        b"=",
        b",",
        b":",
        b"!",
        b"(",
        b")",
        b"\\",
        b"\n",
        b"\r\n",
        b"\\\n",
        b" ",
        b"\t",
        b"\"",
        b"#",
        b"#1",
        b"%",
        b"+",
        b"/bin/a",
        b"/",
        b"^",
        b"$",
        b"sha256:",
        b"sudoedit",
        b"NOPASSWD:",
        b"Defaults",
        b"User_Alias ",
        b"@include x\n",
        b"10.0.0.1/8",
        b"a:b::c",
        b"\0",
        b"\xff",
        b"CWD=",
        b"TIMEOUT=1",
    ];
    let mut random = Random::new(0x2545_f491_4f6c_dd1d);
    let mut number = |end: usize| random.below(end);
    for _ in 0..3_000 {
        let text: Vec<u8> = (0..number(40))
            .flat_map(|_| PIECES[number(PIECES.len())].to_vec())
            .collect();
        for dialect in [Dialect::Sudo1_9_5, Dialect::Sudo1_9_13, Dialect::Sudo1_9_16] {
            let policy = Files::sudoers(&text).parse(dialect);
            let size = u32::try_from(text.len()).expect("small");
            let lines = u32::try_from(text.split(|c| *c == b'\n').count()).expect("small");
            let rules = policy
                .specs
                .iter()
                .flat_map(|spec| &spec.privileges)
                .flat_map(|p| &p.rules);
            let spans = (policy.specs.iter().map(|spec| spec.span))
                .chain(rules.flat_map(|rule| [rule.span, rule.command.span]))
                .chain(
                    policy
                        .aliases
                        .values()
                        .flat_map(|a| a.values())
                        .map(|alias| alias.span),
                )
                .chain(policy.defaults.iter().flat_map(|d| [d.span, d.line_span]))
                .chain(policy.findings.iter().filter_map(|finding| finding.at));
            for span in spans {
                let fits = span.start <= span.end
                    && span.end <= size
                    && (1..=lines).contains(&span.line)
                    && span.line <= span.last_line;
                assert!(fits, "{span:?} of {:?}", text.escape_ascii().to_string());
            }
        }
    }
}

#[test]
fn a_large_policy_is_read_in_step_with_its_size() {
    let mut text = String::new();
    for n in 0..20_000 {
        text += &format!(
            "user{n}, %group{n} ALL, !10.{}.0.0/16 = (root) NOPASSWD: /bin/a{n} -x *, sudoedit /etc/{n}\n",
            n % 256
        );
    }
    let policy = Files::sudoers(&text).parse(Dialect::Sudo1_9_16);
    assert_eq!((policy.specs.len(), policy.findings.len()), (20_000, 0));
}

#[test]
fn a_policy_of_too_many_rules_is_known_up_to_some_line() {
    let short = format!("a ALL={}/x\n", "/x,".repeat(2_000_000));
    let policy = Files::sudoers(&short).parse(Dialect::Sudo1_9_16);
    assert_eq!((policy.specs.len(), policy.unread.len()), (0, 1));
    assert!(policy.refused.is_none());
    let many = "a ALL=CWD=/x /x, TIMEOUT=1 /y\n".repeat(200_000);
    let policy = Files::sudoers(&many).parse(Dialect::Sudo1_9_16);
    assert!((10_000..200_000).contains(&policy.specs.len()));
    let next = policy.specs.len() + 1;
    let why = format!("from line {next} on it is not read: ");
    assert!(
        policy.unread[0].reason.starts_with(&why),
        "{:?}",
        policy.unread
    );
}
