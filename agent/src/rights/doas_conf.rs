//! doas.conf(5), line by line and byte for byte.

use crate::host::lines::{Lines, number};

/// `/etc/doas.conf`, kept as it stands.
#[derive(Debug)]
pub struct DoasConf {
    lines: Lines,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The line it begins on, from 1.
    pub line: u32,
    /// `permit`, else `deny`.
    pub permits: bool,
    /// `nopass`: no password is asked.
    pub no_password: bool,
    /// Who: a name or uid, or a group or gid.
    pub who: Who,
    /// `as`: who it becomes; anybody where the rule does not say.
    pub target: Option<Vec<u8>>,
    /// `cmd`: the only program it runs, without its arguments.
    pub command: Option<Vec<u8>>,
    /// `args`: it runs it with these arguments only.
    pub has_arguments: bool,
}

/// Whom a rule is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// An account, by name or uid.
    User(Vec<u8>),
    /// The members of a group, by name or gid.
    Group(Vec<u8>),
}

/// A line that is no rule. doas(1) then permits nothing at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wrong {
    /// The line, from 1.
    pub line: u32,
}

impl DoasConf {
    /// Takes the file's content.
    pub fn parse(bytes: Vec<u8>) -> Self {
        Self {
            lines: Lines::parse(bytes),
        }
    }

    /// The file as it stands.
    pub fn to_bytes(&self) -> &[u8] {
        self.lines.bytes()
    }

    /// All rules; the last one that fits decides.
    pub fn rules(&self) -> Result<Vec<Rule>, Wrong> {
        let mut rules = Vec::new();
        let mut lines = self.lines.iter().enumerate();
        while let Some((index, line)) = lines.next() {
            let wrong = Wrong {
                line: number(index),
            };
            let mut text = line.to_vec();
            while text.ends_with(b"\\") {
                text.pop();
                let Some((_, next)) = lines.next() else { break };
                text.extend_from_slice(next);
            }
            let tokens = tokens(&text).ok_or(wrong)?;
            if !tokens.is_empty() {
                rules.push(rule(&tokens, number(index)).ok_or(wrong)?);
            }
        }
        Ok(rules)
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Token {
    text: Vec<u8>,
    /// A word in quotes is never a keyword.
    quoted: bool,
}

impl Token {
    fn is(&self, keyword: &str) -> bool {
        !self.quoted && self.text == keyword.as_bytes()
    }
}

/// Words, `{` and `}`; `None` for a quote that does not end.
fn tokens(line: &[u8]) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut bytes = line.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b' ' | b'\t' => {}
            b'#' => break,
            b'{' | b'}' => tokens.push(Token {
                text: vec![byte],
                quoted: false,
            }),
            first => {
                let mut token = Token {
                    text: Vec::new(),
                    quoted: false,
                };
                let mut in_quotes = false;
                let mut next = Some(first);
                while let Some(byte) = next {
                    match byte {
                        b'"' => {
                            in_quotes = !in_quotes;
                            token.quoted = true;
                        }
                        b'\\' => token.text.push(bytes.next()?),
                        byte => token.text.push(byte),
                    }
                    next = bytes
                        .next_if(|b| in_quotes || !matches!(b, b' ' | b'\t' | b'#' | b'{' | b'}'));
                }
                if in_quotes {
                    return None;
                }
                tokens.push(token);
            }
        }
    }
    Some(tokens)
}

fn rule(tokens: &[Token], line: u32) -> Option<Rule> {
    let (action, mut rest) = tokens.split_first()?;
    let permits = match action {
        action if action.is("permit") => true,
        action if action.is("deny") => false,
        _ => return None,
    };
    let mut no_password = false;
    let who = loop {
        let (token, after) = rest.split_first()?;
        rest = after;
        match token {
            token if token.is("nopass") => no_password = true,
            token if ["persist", "nolog", "keepenv"].iter().any(|o| token.is(o)) => {}
            token if token.is("setenv") => {
                rest.first().filter(|brace| brace.is("{"))?;
                let end = rest.iter().position(|brace| brace.is("}"))?;
                rest = &rest[end + 1..];
            }
            identity => break &identity.text,
        }
    };
    let who = match who.strip_prefix(b":") {
        Some(group) => Who::Group(group.to_vec()),
        None => Who::User(who.clone()),
    };
    let mut target = None;
    if let [word, name, after @ ..] = rest
        && word.is("as")
    {
        target = Some(name.text.clone());
        rest = after;
    }
    let mut command = None;
    let mut has_arguments = false;
    if let [word, program, after @ ..] = rest
        && word.is("cmd")
    {
        command = Some(program.text.clone());
        rest = after;
        // What follows `args` are arguments, whatever they are called.
        if after.first().is_some_and(|word| word.is("args")) {
            has_arguments = true;
            rest = &[];
        }
    }
    rest.is_empty().then_some(Rule {
        line,
        permits,
        no_password,
        who,
        target,
        command,
        has_arguments,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(bytes: &[u8]) -> String {
        let conf = DoasConf::parse(bytes.to_vec());
        assert_eq!(conf.to_bytes(), bytes);
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        match conf.rules() {
            Err(wrong) => format!("wrong {}", wrong.line),
            Ok(rules) => rules
                .iter()
                .map(|rule| {
                    let who = match &rule.who {
                        Who::User(name) => text(name),
                        Who::Group(name) => format!(":{}", text(name)),
                    };
                    let (target, command) = (rule.target.as_deref(), rule.command.as_deref());
                    format!(
                        "{}{}{} {who} as {} cmd {}{}",
                        rule.line,
                        if rule.permits { "+" } else { "-" },
                        if rule.no_password { "!" } else { "" },
                        text(target.unwrap_or(b"*")),
                        text(command.unwrap_or(b"*")),
                        if rule.has_arguments { " args" } else { "" }
                    )
                })
                .collect::<Vec<_>>()
                .join("\n"),
        }
    }

    #[test]
    fn rules_with_all_they_may_have() {
        assert_eq!(
            show(
                b"# us\npermit persist :wheel\n\npermit nopass keepenv setenv { A=b -C } alice as root \
                cmd /usr/bin/x args -a as \"b c\" # end\ndeny \"permit\"\n\
                permit \\\n nopass bob as svc"
            ),
            "2+ :wheel as * cmd *\n4+! alice as root cmd /usr/bin/x args\n5- permit as * cmd *\n\
             6+! bob as svc cmd *"
        );
    }

    #[test]
    fn what_is_no_rule() {
        for text in [
            "permit",
            "allow alice",
            "permit alice as",
            "permit alice cmd",
            "permit alice bob",
            "permit \"alice",
            "permit setenv A=b alice",
            "permit nopass",
        ] {
            assert_eq!(show(format!("\n{text}").as_bytes()), "wrong 2", "{text}");
        }
        assert_eq!(show(b""), "");
    }
}
