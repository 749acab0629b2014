//! What crontab(1) takes for a table, and what we do: the same program text that reads tables for
//! cron(8) judges each line.

use rescind_agent::deferred::crontab::{Crontab, Format};
use rescind_tests::{Account, Host, Release};

rescind_tests::on_each_release!(lines_that_cron_takes_are_those_we_take);

/// Tables of one line each.
const TABLES: usize = 600;

fn lines_that_cron_takes_are_those_we_take(release: Release) {
    let host = Host::boot(release);
    Account::create(&host, "alice");
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut lines: Vec<String> = ALWAYS.iter().map(|line| (*line).to_owned()).collect();
    while lines.len() < TABLES {
        lines.push(random.line());
    }
    let mut script = String::from("cd /tmp\n");
    for line in &lines {
        script +=
            &format!("printf '%s\\n' '{line}' >t; crontab -u alice t >/dev/null 2>&1; echo $?\n");
    }
    let said = host.run_with("sh -s", script.as_bytes()).ok().text();
    let codes: Vec<&str> = said.lines().collect();
    assert_eq!(codes.len(), lines.len());
    let mut taken = 0;
    let wrong: Vec<String> = lines
        .iter()
        .zip(codes)
        .filter_map(|(line, code)| {
            let table = Crontab::parse(format!("{line}\n").into_bytes(), Format::User);
            let (ours, theirs) = (table.first_broken().is_none(), code == "0");
            taken += usize::from(theirs);
            (ours != theirs).then(|| format!("{line:?}: cron {theirs}, we {ours}"))
        })
        .collect();
    assert!(
        wrong.is_empty(),
        "{} differ\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    // A test in which all lines are alike says nothing.
    assert!(
        (50..TABLES - 50).contains(&taken),
        "{taken} of {TABLES} were taken"
    );
}

const ALWAYS: [&str; 31] = [
    "* * * * * x",
    "\t*/5 0-6,22 1 jan-mar mon x",
    "60 * * * * x",
    "* * * * 8 x",
    "* * * * 7 x",
    "5/10 * * * * x",
    "*/0 * * * * x",
    "5; * * * * x",
    "5x * * * * x",
    "*x * * * * x",
    "*5 * * * * x",
    "1-5x * * * * x",
    "1-5; * * * * x",
    "*/5; * * * * x",
    "*/5x * * * * x",
    "*-5 * * * * x",
    "30-10 * * * * x",
    "@reboot x",
    "@daily x",
    "@often x",
    "@midnight x",
    "A=b",
    "A = \"b c\"",
    "\"A B\" = c",
    "* * * * *",
    "# x",
    "",
    "bogus",
    "*/ * * * * x",
    "1,,2 * * * * x",
    "* * * Foo * x",
];

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    /// A line that is nearly right.
    fn line(&mut self) -> String {
        if self.below(12) == 0 {
            let name = self.pick(&[
                "@hourly",
                "@yearly",
                "@annually",
                "@weekly",
                "@monthly",
                "@Daily",
                "@",
            ]);
            return format!("{name} {}", self.pick(&["x", "", "a b"]));
        }
        let mut line = String::new();
        for field in 0..5 {
            let elements = 1 + self.below(10) / 8;
            for element in 0..elements {
                if element > 0 {
                    line.push(',');
                }
                self.element(field, &mut line);
            }
            line.push_str(self.pick(&[" ", " ", " ", "\t", "  "]));
        }
        line + self.pick(&["x", "x", "x", "x", "a%b", ""])
    }

    fn element(&mut self, field: usize, line: &mut String) {
        let high = [59, 23, 31, 12, 7][field];
        match self.below(16) {
            0..8 => line.push('*'),
            8 => line
                .push_str(self.pick(&["jan", "Feb", "mon", "SUN", "dec", "x", "", "*/2", "*/99"])),
            9 => line.push_str(&format!("*/{}", self.below(8))),
            10 | 11 => {
                let (from, to) = (self.below(high + 1), self.below(high + 2));
                line.push_str(&format!("{from}-{to}"));
                if self.below(2) == 0 {
                    line.push_str(&format!("/{}", self.below(4)));
                }
            }
            _ => line.push_str(&self.below(high + 2).to_string()),
        }
    }
}
