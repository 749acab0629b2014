//! Names of units (systemd.unit(5)): types, templates, instances, and the specifiers that say them.

/// The name of a unit, such as `cron.service`, `getty@tty1.service` or `getty@.service`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitName {
    text: Vec<u8>,
    at: Option<usize>,
    dot: usize,
}

/// The longest name systemd takes.
const NAME_BYTES_MAX: usize = 255;

const TYPES: [&[u8]; 11] = [
    b"service",
    b"socket",
    b"target",
    b"timer",
    b"path",
    b"mount",
    b"automount",
    b"swap",
    b"device",
    b"slice",
    b"scope",
];

impl UnitName {
    /// Takes a name; `None` for what systemd takes for none.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let dot = memchr::memrchr(b'.', text)?;
        let at = memchr::memchr(b'@', &text[..dot]);
        let plain = |byte: &u8| {
            byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'-' | b'_' | b'.' | b'\\' | b'@')
        };
        let valid = TYPES.contains(&&text[dot + 1..])
            && text.len() <= NAME_BYTES_MAX
            && text.iter().all(plain)
            && at.unwrap_or(dot) > 0;
        valid.then(|| Self {
            text: text.to_vec(),
            at,
            dot,
        })
    }

    /// The whole name.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    /// What follows the last dot.
    pub fn kind(&self) -> &[u8] {
        &self.text[self.dot + 1..]
    }

    /// What stands before the `@` or, without one, before the type.
    pub fn prefix(&self) -> &[u8] {
        &self.text[..self.at.unwrap_or(self.dot)]
    }

    /// What stands between `@` and the type; empty for a template.
    pub fn instance(&self) -> Option<&[u8]> {
        self.at.map(|at| &self.text[at + 1..self.dot])
    }

    /// Whether instances are made of it, which it is not itself.
    pub fn is_template(&self) -> bool {
        self.instance() == Some(b"")
    }

    /// The template of an instance.
    pub fn template(&self) -> Option<Self> {
        let instance = self.instance()?;
        (!instance.is_empty()).then(|| self.with_instance(b""))?
    }

    /// This template's instance of a name, or another instance of the same template.
    pub fn with_instance(&self, instance: &[u8]) -> Option<Self> {
        self.at?;
        Self::parse(&[self.prefix(), b"@", instance, b".", self.kind()].concat())
    }

    /// The unit of another type with the same name.
    pub fn with_kind(&self, kind: &[u8]) -> Option<Self> {
        Self::parse(&[&self.text[..=self.dot], kind].concat())
    }

    /// The directories of drop-ins that are its, the most particular first: its own, its
    /// template's, those of its prefixes (`foo-bar-.service.d`, `foo-.service.d`).
    pub fn drop_in_names(&self) -> Vec<Vec<u8>> {
        let mut names = vec![[self.as_bytes(), b".d"].concat()];
        if let Some(template) = self.template() {
            names.push([template.as_bytes(), b".d"].concat());
        }
        // An instance has the prefixes of its template, without the `@`.
        let prefix = self.prefix();
        for (dash, _) in prefix.iter().enumerate().rev().filter(|(_, b)| **b == b'-') {
            if dash + 1 < prefix.len() && dash > 0 {
                names.push([&prefix[..=dash], b".", self.kind(), b".d"].concat());
            }
        }
        names
    }

    /// The directories of drop-ins that an instance or a template has besides to systemd 257, but
    /// not to 252: prefixes with an `@`, `foo-@.service.d`.
    pub fn newer_drop_in_names(&self) -> Vec<Vec<u8>> {
        if self.at.is_none() {
            return Vec::new();
        }
        let prefixes = self.prefix().iter().enumerate().rev();
        let dashes =
            prefixes.filter(|(at, b)| **b == b'-' && *at > 0 && at + 1 < self.prefix().len());
        dashes
            .map(|(dash, _)| [&self.text[..=dash], b"@.", self.kind(), b".d"].concat())
            .collect()
    }

    /// The directory of drop-ins that all units of its type have: `service.d`.
    pub fn type_drop_in_name(&self) -> Vec<u8> {
        [self.kind(), b".d"].concat()
    }

    /// Puts what the specifiers mean for this unit into a value; `None` for one whose meaning
    /// depends on more than the name.
    pub fn expand(&self, value: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(value.len());
        let mut bytes = value.iter();
        while let Some(byte) = bytes.next() {
            if *byte != b'%' {
                out.push(*byte);
                continue;
            }
            match bytes.next()? {
                b'%' => out.push(b'%'),
                b'i' => out.extend_from_slice(self.instance().unwrap_or_default()),
                b'I' => out.extend(unescape(self.instance().unwrap_or_default())),
                b'p' => out.extend_from_slice(self.prefix()),
                b'P' => out.extend(unescape(self.prefix())),
                b'j' => out.extend_from_slice(self.last_part()),
                b'J' => out.extend(unescape(self.last_part())),
                b'n' => out.extend_from_slice(&self.text),
                b'N' => out.extend_from_slice(&self.text[..self.dot]),
                // Root's manager is what runs system units.
                b'u' => out.extend_from_slice(b"root"),
                b'U' => out.push(b'0'),
                _ => return None,
            }
        }
        Some(out)
    }

    fn last_part(&self) -> &[u8] {
        let prefix = self.prefix();
        memchr::memrchr(b'-', prefix).map_or(prefix, |dash| &prefix[dash + 1..])
    }
}

/// systemd-escape(1), backwards: `-` is `/`, `\x2d` is that byte.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let code = text[at..].strip_prefix(b"\\x").and_then(|hex| hex.get(..2));
        let byte = code
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        let (byte, len) = match (byte, text[at]) {
            (Some(byte), _) => (byte, 4),
            (None, b'-') => (b'/', 1),
            (None, byte) => (byte, 1),
        };
        out.push(byte);
        at += len;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> UnitName {
        UnitName::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn parts_of_names() {
        let unit = name("app@al\\x2dice-1.service");
        assert_eq!(unit.prefix(), b"app");
        assert_eq!(unit.instance(), Some(&b"al\\x2dice-1"[..]));
        assert_eq!(unit.template(), Some(name("app@.service")));
        assert!(name("app@.service").is_template() && !unit.is_template());
        assert_eq!(
            name("a.timer").with_kind(b"service"),
            Some(name("a.service"))
        );
        assert_eq!(name("a.service").template(), None);
        for none in [
            "",
            "a",
            ".service",
            "@x.service",
            "a.conf",
            "a b.service",
            "a/b.service",
        ] {
            assert_eq!(UnitName::parse(none.as_bytes()), None, "{none}");
        }
        assert_eq!(
            UnitName::parse(&[[b'a'; 250].as_slice(), b".timer"].concat()),
            None
        );
    }

    #[test]
    fn directories_of_drop_ins() {
        let names = |text| {
            let all = name(text).drop_in_names();
            let text: Vec<_> = all.iter().map(|n| String::from_utf8_lossy(n)).collect();
            text.join(" ")
        };
        assert_eq!(
            names("foo-bar-baz.service"),
            "foo-bar-baz.service.d foo-bar-.service.d foo-.service.d"
        );
        assert_eq!(
            names("a-b@c-d.service"),
            "a-b@c-d.service.d a-b@.service.d a-.service.d"
        );
        assert_eq!(names("-x.timer"), "-x.timer.d");
        assert_eq!(
            name("a-b@c-d.service").newer_drop_in_names(),
            [b"a-@.service.d"]
        );
        assert!(name("a-b.service").newer_drop_in_names().is_empty());
        assert_eq!(name("x.timer").type_drop_in_name(), b"timer.d");
    }

    #[test]
    fn specifiers() {
        let unit = name("my-app@al\\x2dice-x.service");
        for (value, want) in [
            ("%i", Some("al\\x2dice-x")),
            ("%I", Some("al-ice/x")),
            ("%p.%j", Some("my-app.app")),
            ("%P", Some("my/app")),
            (
                "%n %N",
                Some("my-app@al\\x2dice-x.service my-app@al\\x2dice-x"),
            ),
            ("100%%", Some("100%")),
            ("%u%U", Some("root0")),
            ("%H", None),
            ("%", None),
        ] {
            let expanded = unit.expand(value.as_bytes());
            assert_eq!(expanded.as_deref(), want.map(str::as_bytes), "{value}");
        }
    }
}
