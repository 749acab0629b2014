//! Which programs a command names, as far as that can be told without being a shell.
//!
//! Only what is run: `tar czf /backup/x /home` runs tar, and `sh /opt/x` runs /opt/x. A word that
//! comes of a variable or of a substitution is not known, and is passed over.

use super::unit_syntax;

/// Something that a command runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Named {
    /// The file of this path.
    Path(Vec<u8>),
    /// A program that is looked for in PATH.
    InPath(Vec<u8>),
    /// A file by a path that begins where the command runs: the home of its account, or where it
    /// went with `cd`.
    Below(Option<Vec<u8>>, Vec<u8>),
    /// All files in this directory (run-parts(8)).
    AllIn(Vec<u8>),
}

/// Programs of one command that are told.
const NAMED_MAX: usize = 32;
/// Commands within commands.
const DEPTH_MAX: usize = 4;

/// What runs other programs that it is told, as its first word that is no option.
const STARTERS: [&[u8]; 22] = [
    b"nice", b"ionice", b"nohup", b"setsid", b"chrt", b"exec", b"command", b"eval", b"time",
    b"chronic", b"stdbuf", b"sh", b"bash", b"dash", b"ksh", b"zsh", b"perl", b"ruby", b"php",
    b"node", b".", b"source",
];
/// The same, but after words of their own: a user, a time, variables, a lock.
const STARTERS_LATER: [&[u8]; 10] = [
    b"env",
    b"timeout",
    b"sudo",
    b"su",
    b"runuser",
    b"setpriv",
    b"unshare",
    b"systemd-run",
    b"start-stop-daemon",
    b"flock",
];
/// Words after which a command begins.
const BEFORE_COMMANDS: [&[u8]; 8] = [
    b"then", b"do", b"else", b"elif", b"if", b"while", b"until", b"!",
];

/// What a line for a shell runs.
pub fn of_shell(text: &[u8]) -> Vec<Named> {
    let mut found = Vec::new();
    shell(text, 0, &mut found);
    found.dedup();
    found.truncate(NAMED_MAX);
    found
}

/// What a command line of a unit runs (systemd.service(5)), and whether it keeps root's rights
/// whatever `User=` says (`+`).
pub fn of_unit(value: &[u8]) -> (Vec<Named>, bool) {
    let mut words: Vec<Vec<u8>> = unit_syntax::words(value).collect();
    let mut as_root = false;
    if let Some(first) = words.first_mut() {
        let prefix = first
            .iter()
            .take_while(|byte| b"@-:+!|".contains(byte))
            .count();
        let prefixes: Vec<u8> = first.drain(..prefix).collect();
        as_root = prefixes.contains(&b'+');
        // `@`: the second word is only what it calls itself.
        if prefixes.contains(&b'@') && words.len() > 1 {
            words.remove(1);
        }
    }
    let mut found = Vec::new();
    let words: Vec<Word> = words.into_iter().map(Word::plain).collect();
    command(&words, None, 0, &mut found);
    found.dedup();
    found.truncate(NAMED_MAX);
    (found, as_root)
}

/// A word of a command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Word {
    text: Vec<u8>,
    /// Part of it is not known before it runs.
    varies: bool,
}

impl Word {
    const fn plain(text: Vec<u8>) -> Self {
        Self {
            text,
            varies: false,
        }
    }
}

fn shell(text: &[u8], depth: usize, found: &mut Vec<Named>) {
    if depth > DEPTH_MAX {
        return;
    }
    let mut directory: Option<Vec<u8>> = None;
    for words in commands(text) {
        let mut words = words.as_slice();
        while let [first, rest @ ..] = words
            && BEFORE_COMMANDS.contains(&first.text.as_slice())
        {
            words = rest;
        }
        if let [first, to, ..] = words
            && first.text == b"cd"
        {
            directory = to.text.starts_with(b"/").then(|| to.text.clone());
            continue;
        }
        command(words, directory.as_deref(), depth, found);
    }
}

/// What one command runs, and what that runs.
fn command(words: &[Word], directory: Option<&[u8]>, depth: usize, found: &mut Vec<Named>) {
    let is_setting = |word: &Word| {
        let Some(end) = memchr::memchr(b'=', &word.text) else {
            return false;
        };
        let mut name = word.text[..end].iter();
        name.all(|b| b.is_ascii_alphanumeric() || *b == b'_')
    };
    let begin = words.iter().position(|word| !is_setting(word));
    let Some((first, rest)) = begin.and_then(|at| words[at..].split_first()) else {
        return;
    };
    if found.len() >= NAMED_MAX || first.varies {
        return;
    }
    found.extend(named(&first.text, directory));
    let name = first.text.rsplit(|byte| *byte == b'/').next();
    let name = name.unwrap_or_default();
    let is_python = name.starts_with(b"python");
    if name == b"run-parts" {
        let directories = rest.iter().filter(|word| word.text.starts_with(b"/"));
        found.extend(directories.map(|word| Named::AllIn(word.text.clone())));
    } else if is_python || STARTERS.contains(&name) {
        let mut rest = rest.iter();
        while let Some(word) = rest.next() {
            if word.text.starts_with(b"-") && word.text.ends_with(b"c") && !is_python {
                if let Some(inner) = rest.next() {
                    shell(&inner.text, depth + 1, found);
                }
                return;
            }
            if !word.text.starts_with(b"-") && !word.text.iter().all(u8::is_ascii_digit) {
                let from = std::slice::from_ref(word);
                let more: Vec<Word> = from.iter().chain(rest).cloned().collect();
                command(&more, directory, depth + 1, found);
                return;
            }
        }
    } else if STARTERS_LATER.contains(&name) {
        // The first path after it, but for the file that flock(1) locks.
        let mut paths = rest
            .iter()
            .enumerate()
            .filter(|(_, word)| word.text.starts_with(b"/"));
        if name == b"flock" {
            paths.next();
        }
        if let Some((at, _)) = paths.next() {
            command(&rest[at..], directory, depth + 1, found);
        } else if let Some(at) = rest.iter().position(|word| word.text == b"-c")
            && let Some(inner) = rest.get(at + 1)
        {
            shell(&inner.text, depth + 1, found);
        }
    }
}

fn named(word: &[u8], directory: Option<&[u8]>) -> Option<Named> {
    if word.is_empty() || word.starts_with(b"-") || word == b"[" {
        return None;
    }
    if word.starts_with(b"/") {
        return Some(Named::Path(word.to_vec()));
    }
    if let Some(below) = word.strip_prefix(b"~/") {
        return Some(Named::Below(None, below.to_vec()));
    }
    if word.contains(&b'/') {
        return Some(Named::Below(directory.map(<[u8]>::to_vec), word.to_vec()));
    }
    Some(Named::InPath(word.to_vec()))
}

/// The commands of a line for a shell, each in its words: quotes taken off, redirections left out.
/// Those within others come before them.
fn commands(text: &[u8]) -> Vec<Vec<Word>> {
    let mut reading = Reading::default();
    let mut bytes = text.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match (reading.quote, byte) {
            (Some(open), byte) if byte == open => reading.quote = None,
            (Some(b'\''), byte) => reading.letter(byte),
            (None, b'"' | b'\'') => {
                reading.quote = Some(byte);
                reading.word.get_or_insert_default();
            }
            (_, b'\\') => {
                if let Some(next) = bytes.next() {
                    reading.letter(next);
                }
            }
            // What is substituted runs too, even within double quotes.
            (_, b'$') if bytes.next_if_eq(&b'(').is_some() => reading.open(b')'),
            (_, b'$') => reading.word.get_or_insert_default().varies = true,
            (_, b'`') if reading.is_in(b'`') => reading.close(true),
            (_, b'`') => reading.open(b'`'),
            (None, b'(') => reading.open(b')'),
            (None, b')') => reading.close(false),
            (None, b'#') if reading.word.is_none() => {
                while bytes.next_if(|byte| *byte != b'\n').is_some() {}
            }
            (None, b'>' | b'<') => {
                reading.redirect();
                while bytes
                    .next_if(|byte| matches!(byte, b'>' | b'<' | b'&' | b'|'))
                    .is_some()
                {}
            }
            (None, b';' | b'|' | b'&' | b'\n' | b'{' | b'}') => reading.end_command(),
            (None, byte) if byte.is_ascii_whitespace() => reading.end_word(),
            (_, byte) => reading.letter(byte),
        }
    }
    while !reading.outside.is_empty() {
        reading.close(true);
    }
    reading.end_command();
    reading.commands
}

/// A line as far as it was read.
#[derive(Default)]
struct Reading {
    commands: Vec<Vec<Word>>,
    words: Vec<Word>,
    word: Option<Word>,
    quote: Option<u8>,
    /// The next word is where something is redirected to.
    skip: bool,
    /// What was begun before a substitution or parenthesis.
    outside: Vec<Outside>,
}

/// What was begun before a substitution or parenthesis.
struct Outside {
    words: Vec<Word>,
    word: Option<Word>,
    quote: Option<u8>,
    /// What ends it.
    end: u8,
}

impl Reading {
    fn letter(&mut self, byte: u8) {
        self.word.get_or_insert_default().text.push(byte);
    }

    fn end_word(&mut self) {
        if let Some(word) = self.word.take()
            && !std::mem::take(&mut self.skip)
        {
            self.words.push(word);
        }
    }

    fn end_command(&mut self) {
        self.end_word();
        self.skip = false;
        if !self.words.is_empty() {
            self.commands.push(std::mem::take(&mut self.words));
        }
    }

    fn redirect(&mut self) {
        // `2>` and the like belong to it.
        let is_number = |word: &Word| word.text.iter().all(u8::is_ascii_digit);
        if self.word.as_ref().is_some_and(is_number) {
            self.word = None;
        }
        self.end_word();
        self.skip = true;
    }

    fn is_in(&self, end: u8) -> bool {
        self.outside
            .last()
            .is_some_and(|outside| outside.end == end)
    }

    fn open(&mut self, end: u8) {
        self.outside.push(Outside {
            words: std::mem::take(&mut self.words),
            word: self.word.take(),
            quote: self.quote.take(),
            end,
        });
    }

    /// Ends what was opened; what it comes to is a part of the word outside, if it began in one.
    fn close(&mut self, substituted: bool) {
        self.end_command();
        let Some(outside) = self.outside.pop() else {
            return;
        };
        (self.words, self.word) = (outside.words, outside.word);
        self.quote = outside.quote;
        if substituted || self.word.is_some() || !self.words.is_empty() || self.quote.is_some() {
            self.word.get_or_insert_default().varies = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(found: Vec<Named>) -> String {
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        let show = |named: &Named| match named {
            Named::Path(path) => text(path),
            Named::InPath(name) => format!("PATH:{}", text(name)),
            Named::Below(Some(dir), path) => format!("{}:{}", text(dir), text(path)),
            Named::Below(None, path) => format!("~:{}", text(path)),
            Named::AllIn(dir) => format!("{}/*", text(dir)),
        };
        found.iter().map(show).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn lines_of_crontabs() {
        for (line, want) in [
            ("/opt/x --all >/var/log/x 2>&1", "/opt/x"),
            ("backup", "PATH:backup"),
            (
                "cd / && run-parts --report /etc/cron.hourly",
                "PATH:run-parts /etc/cron.hourly/*",
            ),
            (
                "test -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.daily; }",
                "PATH:test PATH:run-parts /etc/cron.daily/*",
            ),
            ("[ -x /a ] && /a >/dev/null", "/a"),
            ("(cd /b && ./c); x$(/d)y /e", "/b:./c /d"),
            ("cd /srv/app && ./run.sh", "/srv/app:./run.sh"),
            ("bin/mine; ~/other", "~:bin/mine ~:other"),
            ("A=1 B=\"2 3\" /opt/y", "/opt/y"),
            (
                "nice -n 19 ionice -c3 /opt/z /etc/passwd",
                "PATH:nice PATH:ionice /opt/z",
            ),
            ("sh /opt/s.sh /tmp/arg", "PATH:sh /opt/s.sh"),
            ("/bin/sh -c 'cd /a; ./b | /c/d'", "/bin/sh /a:./b /c/d"),
            ("python3 -u /opt/p.py", "PATH:python3 /opt/p.py"),
            (". /etc/profile; /opt/t", "PATH:. /etc/profile /opt/t"),
            ("flock -n /tmp/lock /opt/u", "PATH:flock /opt/u"),
            (
                "flock -n /tmp/lock -c 'exec /opt/v'",
                "PATH:flock PATH:exec /opt/v",
            ),
            ("sudo -u bob /opt/w", "PATH:sudo /opt/w"),
            ("timeout 5 env X=1 /opt/v", "PATH:timeout /opt/v"),
            (
                "tar czf /backup/$(date +%F).tgz /home",
                "PATH:date PATH:tar",
            ),
            (
                "echo `/opt/q` \"$(/opt/r)\" '$(/opt/no)'",
                "/opt/q /opt/r PATH:echo",
            ),
            (
                "if true; then /opt/if; fi # /opt/comment",
                "PATH:true /opt/if PATH:fi",
            ),
            ("$HOME/bin/x", ""),
            ("\"/opt/with space\" x", "/opt/with space"),
            ("", ""),
        ] {
            assert_eq!(show(of_shell(line.as_bytes())), want, "{line}");
        }
    }

    #[test]
    fn lines_of_units() {
        for (line, want, root) in [
            ("/usr/sbin/sshd -D $OPTS", "/usr/sbin/sshd", false),
            ("-!/opt/a /etc/x", "/opt/a", false),
            ("+/opt/b", "/opt/b", true),
            ("@/opt/c c --x", "/opt/c", false),
            (
                "/bin/bash -c \"/opt/d; /opt/e\"",
                "/bin/bash /opt/d /opt/e",
                false,
            ),
            (
                "/usr/bin/python3 /opt/f.py",
                "/usr/bin/python3 /opt/f.py",
                false,
            ),
            ("echo", "PATH:echo", false),
        ] {
            let (found, as_root) = of_unit(line.as_bytes());
            assert_eq!((show(found).as_str(), as_root), (want, root), "{line}");
        }
    }

    #[test]
    fn commands_in_commands_end() {
        let deep = "sh -c '".repeat(2000);
        assert!(of_shell(deep.as_bytes()).len() <= NAMED_MAX);
        let wide = "/a;".repeat(100_000);
        assert!(of_shell(wide.as_bytes()).len() <= NAMED_MAX);
    }
}
