//! Accounts as administrators, tools and accidents leave them.

use rescind_tests::readers::random::Random;

/// What every hash below is of.
pub const PASSWORD: &str = "secret";

/// Accounts of one set.
const ACCOUNTS: usize = 60;

/// Files of one host.
pub struct Set {
    pub seed: u64,
    /// The accounts to ask about.
    pub names: Vec<String>,
    /// Lines to add to passwd(5).
    pub passwd: Vec<u8>,
    /// Lines to add to shadow(5).
    pub shadow: Vec<u8>,
    /// Whether it has numbers that are out of range of what holds them.
    pub has_wild_numbers: bool,
}

/// One set in so many has wild numbers, see [`Set::has_wild_numbers`]: they stop some tools.
const WILD_SETS: u64 = 5;

/// Every kind of hash that crypt(5) names, made by libxcrypt.
const HASHES: [&str; 21] = [
    "$6$saltstring$AIsRs/Ee56G/tC8MEHhvReZTfx8u3rXXMl6eYrjCG9ibix19DxoMBLogdTET5Ukw9Sf7eZTITsuk0Ry5qulYz.",
    "$y$j9T$saltsaltsaltsalt$.Zt5W26jjocuW0wIHGgB6AJelofw6GEpOypHGyow2y5",
    "$1$saltsalt$9xy1btjgzLYfb7hivXtC//",
    "$1$$ysVNzQc4CTMkp5daOdZ.3/",
    "$5$saltstring$C3o4O1TC6aRHF4FI.QSZMXtHbaj2gSXr4sUc/3NcUi.",
    "$5$rounds=5000$saltstring$C3o4O1TC6aRHF4FI.QSZMXtHbaj2gSXr4sUc/3NcUi.",
    "$6$rounds=1000$saltstring$2BkAo106CG84raQcWpAlhyy6TSSkAsL1nfvBCoezLYyerUzY2l8axTvq6NynEt7SQAx3/cdop9ds0po8uaeHq0",
    "$6$$2M9DchxW4txWyTYoZrH9D3VvAAQxBpEezYsLY6Cao.jwzEXpyL9xwip9hiUZX7GqTqe/E/z6iKvZqXUuqniQH.",
    "$y$j75$abcdefgh$uMUXG79B2cFpoAYyDccUnsaH/aGTyBYMlnQidzyag01",
    "$gy$j9T$saltsaltsaltsalt$BBJRbPW2s14hnQwjOB5zpgb2NVqa6Gfb4kgKtS5Oda9",
    "$7$CU..../....saltsaltsaltsalt$lZYtutyt4uMnbWCC4xrRb39kLX8lgRaAvZ6mAYi1/e1",
    "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW",
    "$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW",
    "$2a$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW",
    "$2x$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW",
    "$sha1$1000$saltsalt$Afd9xS7u8w4h.ywETK2u0ha2i2TG",
    "$md5,rounds=1000$saltsalt$$RyArBbzo5hNt3lP2QzjeP0",
    "$md5$saltsalt$$htFYkfcXgVn6XJq7JYvMH/",
    "$3$$878d8014606cda29677a44efa1353fc7",
    "saHW9GdxihkGQ",
    "saHW9GdxihkGQ,M.z8",
];

/// What stands where no hash of a password does.
const OTHERS: [&str; 30] = [
    "",
    "",
    "!",
    "!!",
    "*",
    "!*",
    "*!",
    "x",
    "X",
    "!x",
    "*LK*",
    "*NP*",
    "NP",
    "LK",
    "!!!",
    "locked",
    " ",
    "$6$",
    "$",
    "$$",
    "$9$salt$hash",
    "$argon2id$v=19$m=16,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2g",
    "$1$saltsalt$9xy1btjgzLYfb7hivXtC/",
    "$1$saltsalt$9xy1btjgzLYfb7hivXtC//!",
    "$6$saltstring$AIsRs/Ee56G/tC8MEHhvReZTfx8u3rXX",
    "$y$j9T$saltsaltsaltsalt$",
    "saHW9GdxihkG",
    "saHW9Gdxih-GQ",
    "no password for this one",
    "##name",
];

const CHANGED: [&str; 12] = [
    "{past}",
    "{past}",
    "{past}",
    "{past}",
    "{past}",
    "",
    "0",
    "{today}",
    "{tomorrow}",
    "1",
    "-1",
    "garbage",
];
const MINIMUM: [&str; 8] = ["0", "0", "", "7", "{past}", "-1", "99999", "0x7"];
const MAXIMUM: [&str; 14] = [
    "99999",
    "99999",
    "99999",
    "99999",
    "",
    "0",
    "50",
    "90",
    "99",
    "100",
    "101",
    "10000",
    "-1",
    "9999999999",
];
const WARN: [&str; 7] = ["7", "7", "7", "", "0", "-1", " "];
const GRACE: [&str; 8] = ["", "", "", "0", "1", "20", "50", "-1"];
const EXPIRY: [&str; 28] = [
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "0",
    "1",
    "{past}",
    "{yesterday}",
    "{today}",
    "{tomorrow}",
    "99999",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "-1",
    " 1",
    "1 ",
    "+1",
    "1x",
    "{wild}",
    "{wild}",
    "0000000000000000000000000000000000000000000018000",
    "0x4e20",
    "1e4",
];
const FLAG: [&str; 8] = ["", "", "", "", "", "0", "134539268", "x"];

impl Set {
    /// The same seed gives the same set on the same day.
    pub fn generate(seed: u64, today: i64) -> Self {
        let mut maker = Maker {
            random: Random::new(seed),
            today,
            has_wild_numbers: seed % WILD_SETS == WILD_SETS - 1,
            passwd: Vec::new(),
            shadow: Vec::new(),
        };
        let names: Vec<String> = (0..ACCOUNTS).map(|n| format!("u{n:02}")).collect();
        for (n, name) in names.iter().enumerate() {
            let uid = 3000 + n;
            let passwd = maker.passwd_lines(name, uid);
            maker.passwd.extend(passwd);
            let shadow = maker.shadow_lines(name);
            maker.shadow.extend(shadow);
        }
        maker.stray_lines();
        let end = |lines: Vec<Vec<u8>>, with_newline: bool| {
            let mut bytes = lines.join(b"\n".as_slice());
            if with_newline {
                bytes.push(b'\n');
            }
            bytes
        };
        let (first, second) = (maker.random.chance(60), maker.random.chance(60));
        Self {
            seed,
            names,
            passwd: end(maker.passwd, first),
            shadow: end(maker.shadow, second),
            has_wild_numbers: maker.has_wild_numbers,
        }
    }
}

struct Maker {
    random: Random,
    today: i64,
    has_wild_numbers: bool,
    passwd: Vec<Vec<u8>>,
    shadow: Vec<Vec<u8>>,
}

impl Maker {
    /// Its line, or what became of it.
    fn passwd_lines(&mut self, name: &str, uid: usize) -> Vec<Vec<u8>> {
        let wild = self.has_wild_numbers;
        let random = &mut self.random;
        let mut fields: Vec<String> = [name, "x", &uid.to_string(), "100", "", "/tmp", "/bin/sh"]
            .map(str::to_owned)
            .into();
        match random.below(62) {
            0..4 => fields[1] = random.pick(&HASHES).to_owned(),
            4..7 => fields[1] = random.pick(&OTHERS).to_owned(),
            7 => fields[1] = format!("##{name}"),
            8 => fields[2] = format!("+{uid}"),
            9 => fields[2] = format!(" 0{uid}"),
            10 => {
                fields[2] = match wild {
                    true => random.pick(&["-1", "4294967296", "-18446744073709551615"]),
                    false => random.pick(&["", "0x10", "ten", "10 "]),
                }
                .into()
            }
            11 => fields[2] = "-0".into(),
            12 => {
                fields[3] = match wild {
                    true => random.pick(&["-1", "4294967296", "9223372036854775808"]),
                    false => random.pick(&["", "+100", "100x", "4294967294"]),
                }
                .into()
            }
            13 => fields.truncate(4 + random.below(3)),
            14 => fields.truncate(1 + random.below(3)),
            15 => fields.push("more".into()),
            16 => fields[6] = random.pick(&["", "/usr/sbin/nologin", "/bin/false"]).into(),
            17 => {
                fields[6] = random
                    .pick(&["/nowhere", "/etc/passwd", "/bin/sh\0x"])
                    .into()
            }
            18 => fields[4] = "Gecos, with \u{fc}\t!".into(),
            19 => fields[0] = format!(" {name}"),
            20 => fields[5] = String::new(),
            21 => fields[4] = "long ".repeat(1000),
            _ => {}
        }
        let line = fields.join(":").into_bytes();
        match random.below(40) {
            0 => vec![],
            1 => vec![
                line.clone(),
                format!("{name}:x:{}:100::/:/bin/false", uid + 500).into(),
            ],
            2 => vec![b"#gone".to_vec(), line],
            3 => vec![Vec::new(), line],
            _ => vec![line],
        }
    }

    fn shadow_lines(&mut self, name: &str) -> Vec<Vec<u8>> {
        let mut line = self.shadow_line(name);
        let random = &mut self.random;
        match random.below(60) {
            0 => line.extend(b":"),
            1 => line.extend(b":0"),
            2 => line.extend(b" "),
            3 => line.extend(b"\r"),
            4 => line.extend(b"\0rest"),
            5 => line = [b" \t", line.as_slice()].concat(),
            6 => line = [b"#", line.as_slice()].concat(),
            7..11 => {
                // Some of the fields at the end are missing, with their colons or without.
                for _ in 0..1 + random.below(8) {
                    let Some(at) = line.iter().rposition(|byte| *byte == b':') else {
                        break;
                    };
                    line.truncate(at);
                }
                if random.chance(40) {
                    line.push(b':');
                }
            }
            _ => {}
        }
        match random.below(30) {
            0 => vec![],
            1 | 2 => {
                let second = self.shadow_line(name);
                vec![line, second]
            }
            _ => vec![line],
        }
    }

    fn shadow_line(&mut self, name: &str) -> Vec<u8> {
        let password = self.password(name);
        // Most lines have at most one field that is odd.
        let days: [(&[&str], &str); 7] = [
            (&CHANGED, "{past}"),
            (&MINIMUM, "0"),
            (&MAXIMUM, "99999"),
            (&WARN, "7"),
            (&GRACE, ""),
            (&EXPIRY, ""),
            (&FLAG, ""),
        ];
        let all = self.random.chance(12);
        let mut line = format!("{name}:{password}");
        for (values, usual) in days {
            let odd = all || self.random.chance(22);
            let value = if odd { self.random.pick(values) } else { usual };
            line.push(':');
            line.push_str(&self.day(value));
        }
        line.into_bytes()
    }

    fn password(&mut self, name: &str) -> String {
        let random = &mut self.random;
        let hash = random.pick(&HASHES);
        match random.below(100) {
            0..45 => HASHES[random.below(3)].to_owned(),
            45..62 => hash.to_owned(),
            62..70 => format!("!{hash}"),
            70 => format!("*{hash}"),
            71 => format!("!!{hash}"),
            72 => format!("##{name}"),
            73 => format!("!{}", hash.repeat(60)),
            74 => "x".repeat(9000),
            _ => random.pick(&OTHERS).to_owned(),
        }
    }

    fn day(&mut self, value: &str) -> String {
        let day = match value {
            "{past}" => self.today - 100,
            "{yesterday}" => self.today - 1,
            "{today}" => self.today,
            "{tomorrow}" => self.today + 1,
            "{wild}" => {
                return match (self.has_wild_numbers, self.random.chance(50)) {
                    (false, _) => "2147483648".into(),
                    (true, true) => "-18446744073709551615".into(),
                    (true, false) => "9".repeat(50),
                };
            }
            other => return other.to_owned(),
        };
        day.to_string()
    }

    /// Lines that belong to nobody.
    fn stray_lines(&mut self) {
        let random = &mut self.random;
        for line in [
            "word",
            "::::",
            "stray:!:1:0:9:7:::",
            "+nis::::::::",
            "  ",
            "stray:",
        ] {
            if random.chance(35) {
                let at = random.below(self.shadow.len() + 1);
                self.shadow.insert(at, line.into());
            }
        }
        for line in [
            "word",
            "::::::",
            "+@nis::::::",
            "-mallory::::::",
            "stray:x:9",
            "",
        ] {
            if random.chance(35) {
                let at = random.below(self.passwd.len() + 1);
                self.passwd.insert(at, line.into());
            }
        }
    }
}
