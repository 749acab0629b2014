//! Generated configurations: what administrators write, and how they should not.

use std::fs;
use std::path::Path;

use rescind_agent::sshd::keyword::Keyword;
use rescind_agent::sshd::release::Release;

/// Writes the files of one configuration; the same number gives the same files.
pub fn write(directory: &Path, number: u64, release: &Release) {
    let seed = number
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add(release.text().len() as u64)
        | 1;
    let mut generator = Generator {
        state: seed,
        release,
        number,
        directory,
        files: 0,
    };
    for _ in 0..8 {
        generator.next();
    }
    let text = generator.file(0, false);
    fs::write(directory.join("sshd_config"), text).unwrap();
}

struct Generator<'a> {
    state: u64,
    release: &'a Release,
    number: u64,
    directory: &'a Path,
    files: usize,
}

/// Keywords for anywhere, with values.
const ANYWHERE: [(&str, &[&str]); 31] = [
    (
        "PermitRootLogin",
        &[
            "yes",
            "no",
            "prohibit-password",
            "without-password",
            "forced-commands-only",
            "NO",
        ],
    ),
    ("PubkeyAuthentication", &["yes", "no", "Yes"]),
    ("PasswordAuthentication", &["yes", "no"]),
    ("KbdInteractiveAuthentication", &["yes", "no"]),
    ("PermitEmptyPasswords", &["yes", "no"]),
    ("HostbasedAuthentication", &["yes", "no"]),
    ("GSSAPIAuthentication", &["yes", "no"]),
    ("PermitUserRC", &["yes", "no"]),
    (
        "AllowUsers",
        &[
            "alice",
            "alice bob",
            "*",
            "svc-* root",
            "alice@10.0.0.0/8 bob@*.example.com",
            "!bob",
            "a=b",
        ],
    ),
    (
        "DenyUsers",
        &[
            "bob",
            "alice",
            "root@192.168.0.0/16",
            "svc-db mallory",
            "*@2001:db8::/32",
        ],
    ),
    ("AllowGroups", &["staff", "staff wheel", "*", "serv*"]),
    ("DenyGroups", &["nogroup", "services", "st?ff"]),
    (
        "AuthorizedKeysFile",
        &[
            ".ssh/authorized_keys",
            "/etc/ssh/keys/%u .ssh/authorized_keys",
            "none",
            "%h/.ssh/keys /etc/keys/%U %%h",
            "\"/etc/ssh/my keys/%u\"",
            "~/root_keys",
            "/a\\ b",
            "'/single quoted/%u'",
        ],
    ),
    (
        "AuthorizedKeysCommand",
        &[
            "/usr/bin/keys %u",
            "none",
            "\"/usr/bin/my keys\" \"%u\"",
            "/bin/a  b",
        ],
    ),
    ("AuthorizedKeysCommandUser", &["nobody", "%u"]),
    (
        "AuthorizedPrincipalsFile",
        &["/etc/ssh/principals/%u", ".ssh/principals", "none", "~/p"],
    ),
    (
        "AuthorizedPrincipalsCommand",
        &["/usr/bin/principals %i", "none", "/bin/b"],
    ),
    ("AuthorizedPrincipalsCommandUser", &["nobody"]),
    (
        "TrustedUserCAKeys",
        &[
            "/etc/ssh/ca.pub",
            "none",
            "relative/ca.pub",
            "~/ca.pub",
            "\"/etc/ssh/a b\"",
        ],
    ),
    ("RevokedKeys", &["/etc/ssh/revoked", "none", "NONE"]),
    (
        "AuthenticationMethods",
        &[
            "any",
            "publickey",
            "publickey,password publickey,keyboard-interactive",
            "publickey keyboard-interactive:pam",
        ],
    ),
    (
        "ChrootDirectory",
        &["/srv/%u", "none", "%h", "\"/srv/a b\""],
    ),
    (
        "ForceCommand",
        &["internal-sftp", "none", "/bin/echo \"a b\"  c", "exec 'x'"],
    ),
    (
        "PubkeyAcceptedKeyTypes",
        &[
            "+ssh-rsa",
            "-ssh-rsa*",
            "^ssh-rsa",
            "ssh-ed25519",
            "ssh-*,rsa-*",
            "+ssh-rsa,ssh-ed25519",
            "-*",
            "*",
            "ecdsa*",
        ],
    ),
    (
        "CASignatureAlgorithms",
        &[
            "+ssh-rsa",
            "-*rsa*",
            "^ecdsa-*",
            "ssh-ed25519",
            "rsa-*,ssh-rsa",
            "ssh-ed25519-cert-v01@openssh.com,ssh-rsa",
            "*cert*,ssh-*",
            "-*",
            "*",
            "+RSA",
        ],
    ),
    ("X11Forwarding", &["yes", "no"]),
    ("AllowTcpForwarding", &["yes", "local"]),
    ("MaxAuthTries", &["3"]),
    ("Banner", &["/etc/issue.net", "none"]),
    ("AcceptEnv", &["LANG LC_*"]),
    ("IgnoreRhosts", &["yes", "no"]),
];

/// Keywords for the part before the first `Match`.
const GLOBAL: [(&str, &[&str]); 8] = [
    ("UsePAM", &["yes", "no"]),
    ("StrictModes", &["yes", "no"]),
    ("ChallengeResponseAuthentication", &["yes", "no"]),
    ("Port", &["22", "2222"]),
    ("PrintMotd", &["no"]),
    ("UseDNS", &["no"]),
    ("Compression", &["no"]),
    ("DSAAuthentication", &["yes", "no"]),
];

const CRITERIA: [&str; 27] = [
    "User alice",
    "User alice,bob",
    "user *,!alice",
    "User svc-*",
    "User=root",
    "User \"alice\"",
    "Group staff",
    "Group *,!staff",
    "group serv*,wheel",
    "Host *.example.com",
    "Host pc.*,!*.org",
    "Host 192.168.*",
    "Address 10.0.0.0/8",
    "Address 10.0.0.0/24,!10.0.0.7",
    "Address 192.168.7.*,2001:db8::/32",
    "Address !10.0.0.0/8,*",
    "Address 10.7",
    "LocalAddress 192.0.2.1",
    "LocalAddress 2001:db8::1,192.0.2.0/24",
    "LocalPort 22",
    "localport 2222",
    "RDomain vrf0",
    "all",
    "ALL",
    "all # everybody",
    "User 'alice'",
    "User al\\ice",
];

/// Criteria that came with 9.9 and 10.0.
const NEW_CRITERIA: [&str; 4] = [
    "invalid-user",
    "version OpenSSH_10*",
    "Version *Debian*,!*p1*",
    "User=alice Group=staff",
];

/// Lines that are wrong somewhere or everywhere.
const WRONG: [&str; 12] = [
    "PermitRootLogin maybe",
    "PermitRootLogin yes no",
    "PermitRootLogin",
    "Match User",
    "Match Address 10.0.0.1/8",
    "Match all User alice",
    "NoSuchKeyword yes",
    "AllowUsers alice@10.0.0.1/8",
    "AuthenticationMethods carrier-pigeon",
    "ForceCommand",
    "AuthorizedKeysFile \"\"",
    "Banner 'never closed",
];

impl Generator<'_> {
    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 11) as usize % limit
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<'t, T: ?Sized>(&mut self, from: &[&'t T]) -> &'t T {
        from[self.below(from.len())]
    }

    fn file(&mut self, depth: usize, inside_match: bool) -> Vec<u8> {
        let mut text = Vec::new();
        let mut in_match = inside_match;
        for _ in 0..2 + self.below(12) {
            let line = match self.below(100) {
                0..12 => {
                    in_match = true;
                    self.match_line()
                }
                12..20 if depth < 3 && self.files < 8 => self.include(depth, in_match),
                20..27 => self
                    .pick(&["", "  ", "# a comment", "\t# PermitRootLogin yes", "#"])
                    .to_owned(),
                27..40 if !in_match || self.chance(2) => self.setting(&GLOBAL),
                40..41 if self.chance(20) => self.pick(&WRONG).to_owned(),
                _ => self.setting(&ANYWHERE),
            };
            text.extend_from_slice(line.as_bytes());
            text.extend_from_slice(match self.below(20) {
                0 => b"\r\n".as_slice(),
                1 => b" \t\n",
                2 => b"\x0c\n",
                _ => b"\n",
            });
        }
        if self.chance(10) {
            text.pop();
        }
        text
    }

    fn setting(&mut self, from: &[(&'static str, &[&'static str])]) -> String {
        let (keyword, values) = from[self.below(from.len())];
        let value = self.pick(values);
        let mut line = self.spell(keyword, value);
        // Newer settings, now and then.
        if self.release.at_least(9, 1) && self.chance(2) {
            line = "RequiredRSASize 3072".to_owned();
        }
        if self.release.at_least(9, 8) && self.chance(2) {
            line = self
                .pick(&["PAMServiceName web", "pamservicename \"a b\""])
                .to_owned();
        }
        if self.release.at_least(9, 9) && self.chance(2) {
            line = "RefuseConnection yes".to_owned();
        }
        // A command without its user keeps sshd from starting.
        if keyword.ends_with("Command") && keyword.starts_with("Authorized") && self.chance(95) {
            line = format!("{keyword}User nobody\n{line}");
        }
        line
    }

    fn spell(&mut self, keyword: &str, value: &str) -> String {
        let keyword = match self.below(8) {
            0 => keyword.to_uppercase(),
            1 => keyword.to_lowercase(),
            _ => keyword.to_owned(),
        };
        let between = self.pick(&[" ", " ", " ", "  ", "\t", "=", " = ", " =", "= "]);
        let before = self.pick(&["", "", "", " ", "\t\t", "=", "\r"]);
        let behind = self.pick(&["", "", "", "", " # why", " #"]);
        let read = Keyword::lookup(keyword.as_bytes(), self.release)
            .is_some_and(|(k, _)| k != Keyword::Other);
        if read && self.chance(3) {
            // An equals sign behind a quote is a word of its own, mostly an empty one.
            return format!("{before}\"{keyword}\"{between}{value}{behind}");
        }
        format!("{before}{keyword}{between}{value}{behind}")
    }

    fn match_line(&mut self) -> String {
        let mut criteria = self.pick(&CRITERIA).to_owned();
        if self.release.at_least(9, 9) && self.chance(20) {
            criteria = self.pick(&NEW_CRITERIA).to_owned();
        }
        while self.chance(35) && !criteria.to_lowercase().starts_with("all") {
            let more = self.pick(&CRITERIA);
            if !more.to_lowercase().starts_with("all") || self.chance(3) {
                criteria = format!("{criteria} {more}");
            }
        }
        self.spell("Match", &criteria)
    }

    fn include(&mut self, depth: usize, in_match: bool) -> String {
        self.files += 1;
        let group = self.files;
        let directory = self.directory.join(format!("d{group}"));
        fs::create_dir_all(&directory).unwrap();
        for name in [
            "10-a.conf",
            "9-b.conf",
            "B.conf",
            "a.conf",
            ".hidden.conf",
            "x.conf~",
        ] {
            if self.chance(35) {
                let text = if name.ends_with(".conf") && !name.starts_with('.') {
                    self.file(depth + 1, in_match)
                } else {
                    b"ThisIsNeverRead yes\n".to_vec()
                };
                fs::write(directory.join(name), text).unwrap();
            }
        }
        let number = self.number;
        let pattern = self.pick(&[
            "*.conf",
            "*.conf",
            "*.conf",
            "a.conf",
            "[0-9]*.conf",
            "?.conf",
            "nothing*",
        ]);
        let include = match self.below(4) {
            0 => format!("c/{number}/d{group}/{pattern}"),
            1 => format!("/cases/{number}/d{group}/{pattern} /nowhere/{pattern}"),
            2 => format!("\"/cases/{number}/d*/{pattern}\""),
            _ => format!("/cases/{number}/d{group}/{pattern}"),
        };
        // A pattern over all directories may lead back to this file; sshd gives up on that.
        let include = if include.contains("d*") {
            include.replace("d*", &format!("d[{group}]"))
        } else {
            include
        };
        self.spell("Include", &include)
    }
}
