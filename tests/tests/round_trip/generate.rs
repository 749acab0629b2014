//! Files of each format, from tidy to ugly, the same for the same seed.

use rescind_tests::readers::random::Random;

/// A format: lines that its files are made of, with places where something is put in.
pub struct Format {
    /// Its name.
    pub name: &'static str,
    /// `N` a name, `U` a number, `T` a text, `P` a path, `H` a hash, `K` a key, `L` a list of names.
    lines: &'static [&'static str],
}

/// What is edited, or kept as it is; and the two largest of those that are only read.
pub const FORMATS: &[Format] = &[
    Format {
        name: "passwd",
        lines: &[
            "{N}:x:{U}:{U}:{T}:{P}:{P}",
            "{N}:{H}:{U}:{U}::{P}:",
            "{N}:x:{U}:{U}",
            "+@{N}::::::",
            "-{N}::::::",
            "+::::::",
            "{N}:*:{U}:{U}:{T}",
        ],
    },
    Format {
        name: "shadow",
        lines: &[
            "{N}:{H}:{U}:0:99999:7:::",
            "{N}:!:{U}:0:99999:7::{U}:",
            "{N}:!!:::::::",
            "{N}:*:{U}",
            "{N}::{U}:0:99999:7:30:{U}:0",
            "+{N}:",
            "{N}:{H}:{U}:::::-1:",
        ],
    },
    Format {
        name: "group",
        lines: &[
            "{N}:x:{U}:{L}",
            "{N}:x:{U}:",
            "{N}:{H}:{U}:{L}",
            "{N}:x:{U}",
            "+:::",
            "{N}:*:{U}:{N}, {N},,{N}",
        ],
    },
    Format {
        name: "gshadow",
        lines: &[
            "{N}:!::{L}",
            "{N}:{H}:{N}:{L}",
            "{N}:*::",
            "{N}:!!:{L}:{L}",
            "{N}:",
        ],
    },
    Format {
        name: "authorized_keys",
        lines: &[
            "{K} {T}",
            "{K}",
            "restrict,command=\"{T} \\\"{P}\\\"\" {K} {N}@{N}",
            "from=\"10.0.0.0/8,!{N}\",no-pty\t{K}",
            "cert-authority,principals=\"{L}\" {K}",
            "expiry-time=\"20300101\" {K}",
            "ssh-unknown AAAAC3NzaC1l {T}",
            "{T} {K}",
            "ssh-rsa {H}",
            "1024 35 {U} {N}",
        ],
    },
    Format {
        name: "crontab",
        lines: &[
            "{U} * * * * {P} {T}",
            "*/5 0-7 1,15 jan mon {N} {P} % {T} \\% x",
            "@daily {N} {P}",
            "@reboot {P}",
            "MAILTO=\"{N}\"",
            "{N} = '{T}'",
            "0~59 * * * 7 {P}",
        ],
    },
    Format {
        name: "anacrontab",
        lines: &[
            "{U} {U} {N} {P}",
            "@monthly {U} {N}\t{P} {T}",
            "START_HOURS_RANGE={U}-22",
            "{U} {T}",
        ],
    },
    Format {
        name: "doas.conf",
        lines: &[
            "permit nopass {N} as root cmd {P}",
            "deny :{N}",
            "permit persist keepenv setenv { A={N} -B } {N}",
            "permit {N} \\",
            "permit \"{T}\" cmd {P} args {T}",
        ],
    },
    Format {
        name: "polkit",
        lines: &[
            "[{T}]",
            "Identity=unix-user:{N};unix-group:{N}",
            "Action=org.{N}.*",
            "ResultAny=yes",
            "AdminIdentities=unix-group:{N};",
            "{T}",
        ],
    },
    Format {
        name: ".rhosts",
        lines: &[
            "{N}.example {N}",
            "+ {N}",
            "-{N}.example",
            "+@{N} -@{N}",
            "{N}.example\t{N} {T}",
            "+",
        ],
    },
    Format {
        name: ".k5users",
        lines: &[
            "{N}@EXAMPLE.ORG",
            "{N}/admin@EXAMPLE.ORG {P} {P}",
            "{N}@EXAMPLE.ORG *",
            " {T}",
        ],
    },
    Format {
        name: "unit",
        lines: &[
            "[Service]",
            "[Unit]",
            "User={N}",
            "ExecStart={P} \\",
            "   {T}",
            "Wants={N}.service {N}@%i.socket",
            "; {T}",
            "PAMName={N}",
            "DynamicUser=yes",
            "X-{N}=\"{T}\"",
        ],
    },
    Format {
        name: "sshd_config",
        lines: &[
            "Match User {L}",
            "Match Address 10.{U}.0.0/16,!{N}",
            "AuthorizedKeysFile {P} .ssh/{N}",
            "AllowUsers {N}@10.* {N}",
            "PermitRootLogin {N}",
            "UsePAM=yes",
            "  ForceCommand \"{T}\"",
            "Include {P}/*.conf",
            "{N} \"{T}",
            "Match all # {T}",
        ],
    },
    Format {
        name: "sudoers",
        lines: &[
            "{N} ALL=(ALL:ALL) NOPASSWD: {P}, !{P} {T}",
            "%{N} {N}=({N}) ALL",
            "User_Alias {U}A = {N}, %{N} : B{U} = #{U}",
            "Cmnd_Alias C = {P} \\",
            "  , {P}",
            "Defaults:{N} !authenticate, env_keep += \"{T}\"",
            "Defaults secure_path=\"{P}:{P}\"",
            "+{N} ALL=ALL",
            "#{U} ALL=ALL",
            "{T}",
        ],
    },
];

/// One file of a format.
pub fn file(format: &Format, random: &mut Random) -> Vec<u8> {
    let mut file = Vec::new();
    for _ in 0..random.below(12) {
        let mut line = filled(format.lines[random.below(format.lines.len())], random);
        match random.below(12) {
            0 => line.splice(0..0, *b" \t").for_each(drop),
            1 => line.splice(0..0, *b"# ").for_each(drop),
            2 => line.push(b'\r'),
            3 => line.clear(),
            4 if !line.is_empty() => line.truncate(random.below(line.len())),
            5 => {
                const ODD: &[u8] = b"\0\xff\xfe\x1b\\\"'#:=,;\x7f\xc3\x28 \t";
                let at = random.below(line.len() + 1);
                line.insert(at, ODD[random.below(ODD.len())]);
            }
            6 if random.chance(5) => line.extend(std::iter::repeat_n(b'x', 5_000)),
            _ => {}
        }
        file.extend_from_slice(&line);
        file.push(b'\n');
    }
    if random.chance(20) {
        file.pop();
    }
    file
}

fn filled(template: &str, random: &mut Random) -> Vec<u8> {
    let mut line = String::new();
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        line.push_str(&rest[..at]);
        // A brace that is no place is one.
        match rest[at..]
            .strip_prefix('{')
            .and_then(|inside| inside.split_once('}'))
        {
            Some((place, after)) if place.len() == 1 => {
                line.push_str(&something(place, random));
                rest = after;
            }
            _ => {
                line.push('{');
                rest = &rest[at + 1..];
            }
        }
    }
    line.push_str(rest);
    line.into_bytes()
}

fn something(place: &str, random: &mut Random) -> String {
    const NAMES: [&str; 10] = [
        "alice", "bob", "root", "svc-db", "ops", "Ünï", "a.b", "_x", "a$", "x-1",
    ];
    const TEXTS: [&str; 6] = [
        "",
        "Alice A,,,",
        "a b  c",
        "\"quoted\"",
        "# no comment",
        "日本",
    ];
    const PATHS: [&str; 6] = [
        "/home/alice",
        "/bin/sh",
        "/usr/sbin/nologin",
        "/a b",
        "/",
        "/etc/x=y",
    ];
    const HASHES: [&str; 5] = [
        "$6$salt$hash./",
        "$y$j9T$a$b",
        "!$1$x$y",
        "abJnggxhB/yJI",
        "*LK*",
    ];
    match place {
        "N" => random.pick(&NAMES).to_owned(),
        "T" => random.pick(&TEXTS).to_owned(),
        "P" => random.pick(&PATHS).to_owned(),
        "H" => random.pick(&HASHES).to_owned(),
        "L" => (0..random.below(4))
            .map(|_| random.pick(&NAMES))
            .collect::<Vec<_>>()
            .join(","),
        "K" => format!("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{}", key(random)),
        _ => random.below(70_000).to_string(),
    }
}

/// The rest of a blob of 51 bytes: 43 letters of base64 behind what all of them have in common.
fn key(random: &mut Random) -> String {
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    (0..43)
        .map(|_| char::from(letters[random.below(64)]))
        .collect()
}
