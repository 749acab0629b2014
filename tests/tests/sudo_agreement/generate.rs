//! Policies: users, aliases, includes, options and spacing as people write them, and worse.

use std::collections::BTreeMap;
use std::fmt;

use rescind_agent::sudoers::Dialect;
use rescind_tests::readers::random::Random;

/// A policy and what to ask about it.
pub struct Tree {
    pub seed: u64,
    /// Paths below `/etc`.
    pub files: BTreeMap<String, File>,
    /// Command lines for `sudo -l`.
    pub asks: Vec<Ask>,
    /// Command lines to run for real, by users who know no password.
    pub runs: Vec<Ask>,
    /// Settings of single users decide who may do what, which `sudo -l -U` takes from the wrong user.
    pub personal: bool,
}

pub struct File {
    pub bytes: Vec<u8>,
    pub mode: u32,
}

/// May `user` run `path args` as `target`?
#[derive(Debug, Clone)]
pub struct Ask {
    pub user: &'static str,
    pub target: &'static str,
    pub path: &'static str,
    pub args: &'static [&'static str],
}

type User = (&'static str, u32, &'static [(&'static str, u32)]);

/// Accounts of the hosts: name, uid, and groups with the primary one first.
pub const USERS: [User; 6] = [
    ("alice", 1000, &[("alice", 1000), ("adm", 4), ("ops", 2000)]),
    ("bob", 1001, &[("users", 100), ("sudo", 27)]),
    ("carol", 1002, &[("ops", 2000)]),
    ("Dave", 1003, &[("Dave", 1003), ("tape", 26)]),
    ("root", 0, &[("root", 0)]),
    ("www-data", 33, &[("www-data", 33)]),
];

/// The ones whose rights are listed.
pub const LISTED: [&str; 4] = ["alice", "bob", "carol", "Dave"];

const PATHS: [&str; 5] = [
    "/usr/bin/id",
    "/usr/bin/env",
    "/usr/bin/tee",
    "/usr/bin/passwd",
    "/usr/sbin/useradd",
];
const NAMES: [&str; 13] = [
    "A", "B", "OPS", "WEB_1", "X9", "ALICE", "CMDS", "ROLE2", "C3", "D__", "OTHERS", "EVERY1",
    "MORE",
];
/// Settings that the policies use.
pub const SETTINGS: [&str; 19] = [
    "authenticate",
    "env_reset",
    "requiretty",
    "targetpw",
    "rootpw",
    "runaspw",
    "passprompt",
    "runas_default",
    "case_insensitive_user",
    "case_insensitive_group",
    "match_group_by_gid",
    "insults",
    "mail_badpass",
    "badpass_message",
    "exempt_group",
    "root_sudo",
    "use_netgroups",
    "group_plugin",
    "fqdn",
];
const ODD_TIMES: [&str; 14] = [
    "2001",
    "200101020",
    "2001010203",
    "20010102030405.5Z",
    "2001010203\\,7Z",
    "20010102030405+1",
    "200101020304-0130",
    "20010102030405Z9",
    "20011402030405Z",
    "200101020304050",
    "20010102030405.Z",
    "2001010203.5+02",
    "20010230Z",
    "2001010203x",
];
const ODD_TIMEOUTS: [&str; 8] = [
    "1d2h",
    "1h1d",
    "5x",
    "7",
    "2M30s",
    "99999999999",
    "3m3m",
    "0",
];
const GOOD_DIGEST: &str = "sha224:00000000000000000000000000000000000000000000000000000000";

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (path, file) in &self.files {
            writeln!(f, "--- /etc/{path} {:o}", file.mode)?;
            for line in file.bytes.split_inclusive(|c| *c == b'\n') {
                writeln!(f, "  {}", line.escape_ascii())?;
            }
        }
        Ok(())
    }
}

pub fn tree(seed: u64, dialect: Dialect) -> Tree {
    let mut maker = Maker {
        random: Random::new(seed),
        dialect,
        unique: 0,
        netgroups: false,
        tame: false,
        personal: false,
    };
    maker.netgroups = maker.random.chance(5);
    maker.tame = maker.random.chance(50);
    maker.personal = maker.random.chance(8);
    let mut files = BTreeMap::new();
    let mut main = Vec::new();
    if maker.random.chance(45) {
        for name in ["10_a", "20b", "z", "a.bak", "old~"] {
            if maker.random.chance(50) {
                let text = maker.text(2);
                files.insert(format!("sudoers.d/{name}"), maker.file(text));
            }
        }
        let keyword = maker.random.pick(&["@includedir", "#includedir"]);
        let dir = maker
            .random
            .pick(&["/etc/sudoers.d", "sudoers.d", "\"/etc/sudoers.d\""]);
        main.extend(format!("{keyword}  {dir}\n").into_bytes());
    }
    if maker.random.chance(40) {
        let (path, written) = [
            ("more/extra", "more/extra"),
            ("more/extra", "/etc/more/extra # why"),
            ("more/with space", "more/with\\ space"),
            ("more/with space", "\"/etc/more/with space\""),
            ("more/of-web1", "/etc/more/of-%h"),
            ("more/extra", "more/missing"),
            ("more/a", "more/nothing:/etc/more/a"),
        ][maker.random.below(7)];
        let mut text = maker.text(3);
        if maker.random.chance(20) {
            text.extend(b"@include deeper\n");
            let deeper = maker.text(2);
            files.insert("more/deeper".into(), maker.file(deeper));
        }
        files.insert(path.into(), maker.file(text));
        let keyword = maker.random.pick(&["@include", "#include"]);
        main.extend(format!("{keyword} {written}\n").into_bytes());
    }
    let mut text = maker.text(8);
    // The includes go somewhere between the lines, now and then between the halves of one.
    let splits: Vec<usize> = (1..=text.len())
        .filter(|at| text[at - 1] == b'\n')
        .filter(|at| *at < 2 || text[at - 2] != b'\\' || (!maker.tame && maker.random.chance(5)))
        .chain([0])
        .collect();
    let split = splits[maker.random.below(splits.len())];
    text.splice(split..split, main);
    if maker.random.chance(10) {
        while text.last() == Some(&b'\n') {
            text.pop();
        }
    }
    if !maker.tame && maker.random.chance(50) {
        maker.spoil(&mut text);
    }
    files.insert(
        "sudoers".into(),
        File {
            bytes: text,
            mode: 0o440,
        },
    );
    let asks = (0..3).map(|_| maker.ask()).collect();
    let runs = (0..3).map(|_| maker.run()).collect();
    Tree {
        seed,
        files,
        asks,
        runs,
        personal: maker.personal,
    }
}

struct Maker {
    random: Random,
    dialect: Dialect,
    unique: u32,
    netgroups: bool,
    /// Nothing broken, and mostly names that exist.
    tame: bool,
    /// Settings of single users decide who may do what.
    personal: bool,
}

impl Maker {
    fn file(&mut self, mut bytes: Vec<u8>) -> File {
        if !self.tame && self.random.chance(20) {
            self.spoil(&mut bytes);
        }
        let mode = if self.random.chance(6) { 0o446 } else { 0o440 };
        File { bytes, mode }
    }

    fn ask(&mut self) -> Ask {
        Ask {
            user: self.random.pick(&LISTED),
            target: self
                .random
                .pick(&["root", "root", "root", "www-data", "bob"]),
            path: self.random.pick(&PATHS),
            args: [
                &[][..],
                &[],
                &["-u"],
                &["a", "b"],
                &["/etc/x,y", "*", "x=:"],
                &["a", "/etc/motd"],
            ][self.random.below(6)],
        }
    }

    fn run(&mut self) -> Ask {
        let (path, args) = [
            ("/usr/bin/id", &[][..]),
            ("/usr/bin/id", &["-u"][..]),
            ("/usr/bin/env", &[][..]),
        ][self.random.below(3)];
        Ask {
            user: self
                .random
                .pick(&["alice", "alice", "bob", "carol", "Dave", "root"]),
            target: self
                .random
                .pick(&["root", "root", "root", "www-data", "bob", "alice"]),
            path,
            args,
        }
    }

    fn text(&mut self, lines_max: usize) -> Vec<u8> {
        let mut text = Vec::new();
        for _ in 0..=self.random.below(lines_max) {
            let line = match self.random.below(20) {
                0..=5 => self.alias(),
                6 | 7 => self.defaults(),
                8 => self
                    .random
                    .pick(&["# a comment \\", "#", "", "   ", "#-x", "#include", "\t# x"])
                    .to_owned(),
                9 if !self.tame => self.soup(),
                _ => self.rule(),
            };
            let line = self.spaced(&line);
            let end = if !self.tame && self.random.chance(2) {
                "\r\n"
            } else {
                "\n"
            };
            text.extend(line.into_bytes());
            text.extend(end.as_bytes());
        }
        text
    }

    /// Marks `~` become nothing, blanks, or a continued line.
    fn spaced(&mut self, line: &str) -> String {
        let indent = self.random.pick(&["", "", "", " ", "\t"]);
        let mut out = indent.to_owned();
        for c in line.chars() {
            if c == '~' {
                out += self
                    .random
                    .pick(&["", "", "", " ", "  ", "\t", " ", " \\\n  ", "\\\n"]);
            } else {
                out.push(c);
            }
        }
        if self.random.chance(8) {
            out += self.random.pick(&[" # why", "# x ALL=ALL", " "]);
        } else if !self.tame && self.random.chance(1) {
            out += " \\\n";
        }
        out
    }

    fn fresh(&mut self) -> u32 {
        self.unique += 1;
        self.unique
    }

    fn list(&mut self, mut member: impl FnMut(&mut Self) -> String) -> String {
        let mut members = Vec::new();
        loop {
            let negation = if self.random.chance(15) {
                self.random.pick(&["!", "!", "! ", "!!", "!!!"])
            } else {
                ""
            };
            members.push(format!("{negation}{}", member(self)));
            if !self.random.chance(35) {
                return members.join("~,~");
            }
        }
    }

    fn name(&mut self) -> String {
        self.random.pick(&NAMES).to_owned()
    }

    fn user(&mut self) -> String {
        match self.random.below(if self.tame { 13 } else { 20 }) {
            0..=5 => self
                .random
                .pick(&["alice", "bob", "carol", "Dave", "dave", "ALICE"])
                .to_owned(),
            6 => self
                .random
                .pick(&["#1000", "#1002", "#0", "#-2", "#4294967295", "#01001"])
                .to_owned(),
            7..=9 => self
                .random
                .pick(&["%ops", "%adm", "%sudo", "%users", "%OPS", "%Dave", "%:ad"])
                .to_owned(),
            10 => self
                .random
                .pick(&["%#2000", "%#27", "%#4", "%:#27"])
                .to_owned(),
            11 | 12 => "ALL".into(),
            13 => self
                .random
                .pick(&[
                    "\"alice\"",
                    "\"%ops\"",
                    "\\x61lice",
                    "al\\ice",
                    "b\\ob",
                    "al\\ ice",
                    "\"al ice\"",
                ])
                .to_owned(),
            14 if self.netgroups => "+ng".into(),
            _ => self.name(),
        }
    }

    fn host(&mut self) -> String {
        match self.random.below(if self.tame { 10 } else { 16 }) {
            0..=6 => "ALL".into(),
            7 | 8 => self
                .random
                .pick(&["web1", "WEB1", "web1.example.org"])
                .to_owned(),
            9 => self
                .random
                .pick(&["w*1", "web[0-9]", "w*.org", "db?"])
                .to_owned(),
            10 => self.random.pick(&["db1", "other.example.org"]).to_owned(),
            11 => self
                .random
                .pick(&[
                    "10.0.0.0/8",
                    "192.168.1.1",
                    "10.1.0.0/255.255.0.0",
                    "fe80::1",
                    "::1/64",
                    "127.0.0.1",
                ])
                .to_owned(),
            12 if self.netgroups => "+ng".into(),
            _ => self.name(),
        }
    }

    fn runas_user(&mut self) -> String {
        match self.random.below(12) {
            0..=3 => self
                .random
                .pick(&["root", "root", "www-data", "bob", "#0", "#33"])
                .to_owned(),
            4..=6 => "ALL".into(),
            7 => self.random.pick(&["%sudo", "%#0", "%www-data"]).to_owned(),
            8 => "\"root\"".into(),
            _ => self.name(),
        }
    }

    fn runas_group(&mut self) -> String {
        match self.random.below(5) {
            0 => "ALL".into(),
            1 => self.name(),
            _ => self.random.pick(&["adm", "ops", "#4", "tape"]).to_owned(),
        }
    }

    fn command(&mut self) -> String {
        let digest = if self.random.chance(4) {
            let second = if self.random.chance(30) {
                format!("~,~{GOOD_DIGEST}")
            } else {
                String::new()
            };
            format!("{GOOD_DIGEST}{second} ")
        } else {
            String::new()
        };
        let regexes = self.dialect >= Dialect::Sudo1_9_13;
        let command = match self.random.below(24) {
            0..=6 => "ALL".into(),
            7..=11 => self.random.pick(&PATHS).to_owned(),
            12 => format!("{} -u", self.random.pick(&PATHS)),
            13 => format!("{} \"\"", self.random.pick(&PATHS)),
            14 => format!("{} \\\n  a  *", self.random.pick(&PATHS)),
            15 => format!("{} /etc/x\\,y \\* x=\\:", self.random.pick(&PATHS)),
            16 => self
                .random
                .pick(&["/usr/bin/", "/usr/sbin/", "/usr/local/bin/"])
                .to_owned(),
            17 => self
                .random
                .pick(&[
                    "/usr/bin/*",
                    "/usr/*/id",
                    "/usr/bin/[a-f]*",
                    "/usr/s?in/useradd",
                ])
                .to_owned(),
            18 => self
                .random
                .pick(&["sudoedit", "sudoedit /etc/motd", "/usr/bin/sudoedit /etc/a"])
                .to_owned(),
            19 => self
                .random
                .pick(&[
                    "/opt/with\\ space",
                    "/opt/a\\,b\\:c\\=d",
                    "/opt/\\#x",
                    if self.tame { "/opt/x*y" } else { "/opt/x\\*y" },
                ])
                .to_owned(),
            20 if regexes => self
                .random
                .pick(&[
                    "^/usr/bin/(id|env)$",
                    "^/usr/s?bin/u.*$",
                    "/usr/bin/tee ^-u$",
                    "list",
                ])
                .to_owned(),
            _ => return self.name(),
        };
        digest + &command
    }

    fn rule(&mut self) -> String {
        let users = self.list(Self::user);
        let mut privileges = vec![self.privilege()];
        while self.random.chance(12) {
            privileges.push(self.privilege());
        }
        format!("{users} ~{}", privileges.join("~:~"))
    }

    fn privilege(&mut self) -> String {
        let hosts = self.list(Self::host);
        let mut rules = vec![self.tagged()];
        while self.random.chance(35) {
            rules.push(self.tagged());
        }
        format!("{hosts}~=~{}", rules.join("~,~"))
    }

    fn tagged(&mut self) -> String {
        let runas = match self.random.below(10) {
            0..=2 => format!("(~{}~)~", self.list(Self::runas_user)),
            3 => format!(
                "({}~:~{})~",
                self.list(Self::runas_user),
                self.list(Self::runas_group)
            ),
            4 if self.random.chance(40) => format!("(:~{})~", self.list(Self::runas_group)),
            5 if self.random.chance(30) => self.random.pick(&["()", "(:)"]).to_owned(),
            _ => String::new(),
        };
        let mut options = String::new();
        while self.random.chance(8) {
            let n = self.fresh();
            options += &match self.random.below(if self.tame { 8 } else { 10 }) {
                8 => format!("NOTBEFORE={} ", self.random.pick(&ODD_TIMES)),
                9 => format!("TIMEOUT={} ", self.random.pick(&ODD_TIMEOUTS)),
                0 => format!("CWD~=~/var/d{n} "),
                1 => format!("TIMEOUT=~{n}m "),
                2 => format!("NOTBEFORE={}0102030{}Z ", 2000 + n, n % 10),
                3 => format!("NOTAFTER={}0102030405+01 ", 2060 + n),
                4 => format!("NOTAFTER=20010203040{}Z ", n % 10),
                5 => format!("ROLE=r{n} TYPE=t{n} "),
                6 => format!("CHROOT=/srv/c{n}/{n} "),
                _ => format!("ROLE=~q{n} "),
            };
        }
        let mut tags = String::new();
        if self.random.chance(12) {
            tags += "NOPASSWD:~";
        }
        while self.random.chance(22) {
            tags += self.random.pick(&[
                "NOPASSWD:~",
                "NOPASSWD :",
                "PASSWD:~",
                "NOEXEC:",
                "EXEC: ",
                "SETENV:",
                "NOSETENV:",
                "LOG_INPUT:",
                "NOLOG_OUTPUT:",
                "MAIL:",
                "NOMAIL:",
                "FOLLOW:",
                "NOFOLLOW: ",
                "LOG_OUTPUT:",
            ]);
        }
        let negation = if self.random.chance(15) { "!" } else { "" };
        format!("{runas}{options}{tags}{negation}{}", self.command())
    }

    fn alias(&mut self) -> String {
        let kind = self.random.below(4);
        let keyword = [
            "User_Alias",
            "Runas_Alias",
            "Host_Alias",
            self.random.pick(&["Cmnd_Alias", "Cmnd_Alias", "Cmd_Alias"]),
        ][kind];
        let mut definitions = Vec::new();
        loop {
            let list = match kind {
                0 => self.list(Self::user),
                1 => self.list(Self::runas_user),
                2 => self.list(Self::host),
                _ => self.list(Self::command),
            };
            definitions.push(format!("{}~=~{list}", self.name()));
            if !self.random.chance(20) {
                return format!("{keyword} ~{}", definitions.join("~:~"));
            }
        }
    }

    fn defaults(&mut self) -> String {
        let bound = match self.random.below(8) {
            0 => format!(":{}", self.list(Self::user)),
            1 => format!("@{}", self.list(Self::host)),
            2 => format!(">{}", self.list(Self::runas_user)),
            3 => format!(
                "!{}",
                self.random.pick(&[
                    "/usr/bin/id",
                    "CMDS",
                    "/usr/bin/id,/usr/bin/env",
                    "sudoedit"
                ])
            ),
            _ => String::new(),
        };
        let free = [
            "!authenticate",
            "authenticate",
            "env_reset~,~!requiretty",
            "targetpw",
            "rootpw,~runaspw",
            "passprompt~=~\"a \\\" b\"",
            "insults,mail_badpass",
            "badpass_message=no\\ way",
            "exempt_group=ops",
        ];
        // `sudo -l -U` looks at the settings of the one who asks, not of the one it is asked about; so
        // settings that decide who may do what are for everybody, or only
        // tried out.
        let deciding = [
            "runas_default=www-data",
            "runas_default~=~\"bob\"",
            "!case_insensitive_user",
            "!case_insensitive_group",
            "match_group_by_gid",
        ];
        let may_decide = bound.is_empty() || (self.personal && bound.starts_with(':'));
        let settings = if may_decide && self.random.chance(40) {
            self.random.pick(&deciding)
        } else {
            self.random.pick(&free)
        };
        format!("Defaults{bound}\t{settings}")
    }

    /// Tokens in any order, after a beginning that makes sense.
    fn soup(&mut self) -> String {
        const TOKENS: [&str; 44] = [
            ",",
            ":",
            "=",
            "!",
            "(",
            ")",
            "ALL",
            "A",
            "OPS",
            "alice",
            "bob",
            "/usr/bin/id",
            "/usr/bin/env -u",
            "#1000",
            "%ops",
            "+ng",
            "10.0.0.1",
            "fe80::1",
            "NOPASSWD:",
            "EXEC:",
            "CWD=/x",
            "CWD",
            "TIMEOUT=5",
            "TIMEOUT=x",
            "NOTAFTER=2",
            "ROLE=a",
            "TYPE",
            "PRIVS=a",
            "APPARMOR_PROFILE=p",
            "sha224:",
            GOOD_DIGEST,
            "sudoedit",
            "sudoedit /a",
            "list",
            "\"x y\"",
            "\"\"",
            "^/a$",
            "/usr/bin/tee ^a",
            "/usr/bin/",
            "Defaults",
            "@include",
            "User_Alias",
            "=ALL",
            ": ALL=ALL",
        ];
        let mut line = self
            .random
            .pick(&[
                "",
                "alice ",
                "alice ALL=",
                "alice ALL=ALL~,~",
                "alice ALL=ALL~:~",
                "ALL ALL=(root",
                "User_Alias A=alice~:~",
                "Cmnd_Alias ",
                "Host_Alias B~=~ALL ",
                "Defaults ",
                "Defaults:",
                "alice ALL=ALL~:~ALL=",
            ])
            .to_owned();
        for _ in 0..=self.random.below(6) {
            line += self.random.pick(&TOKENS);
            line += self.random.pick(&["~", "", " "]);
        }
        if self.random.chance(30) {
            line += self
                .random
                .pick(&[" : ALL=ALL", ": web1=/usr/bin/id", "= ALL", ",ALL"]);
        }
        line
    }

    /// A few bytes too many or too few.
    fn spoil(&mut self, text: &mut Vec<u8>) {
        const PIECES: [&str; 40] = [
            ",",
            ":",
            "=",
            "!",
            "(",
            ")",
            "\\",
            "\\\n",
            "\"",
            "#",
            " ",
            "\t",
            "\n",
            "\r\n",
            "ALL",
            "A",
            "sha256:",
            "@include ",
            "%",
            "+",
            "^",
            "$",
            "^a$",
            "NOPASSWD:",
            "Defaults ",
            "User_Alias ",
            "~",
            "*",
            "[",
            "\\,",
            "CWD=",
            "TIMEOUT=",
            "1.2.3.4",
            "::",
            "a:b:c",
            "sudoedit",
            "/",
            ".",
            "\u{e9}",
            "=ALL",
        ];
        for _ in 0..=self.random.below(3) {
            let at = self.random.below(text.len() + 1);
            match self.random.below(4) {
                0 => {
                    let end = (at + 1 + self.random.below(3)).min(text.len());
                    text.drain(at..end);
                }
                1 if self.dialect >= Dialect::Sudo1_9_13 && self.random.chance(15) => {
                    text.insert(at, 0)
                }
                _ => {
                    let piece = self.random.pick(&PIECES);
                    text.splice(at..at, piece.bytes());
                }
            }
        }
    }
}
