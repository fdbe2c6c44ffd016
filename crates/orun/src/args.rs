//! The command line: runc's options, taken by hand (no library: start-up time is this program's product).
//!
//! Options are accepted before and after the container's id, since callers mix both. Only `exec` has words that are
//! not ours: from the first word after the id that is no option, everything belongs to the program.

/// One option.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opt {
    /// Without the dashes.
    pub(crate) long: &'static str,
    /// One letter, or empty.
    pub(crate) short: &'static str,
    /// What its value is called in help; empty for a flag.
    pub(crate) value: &'static str,
    pub(crate) help: &'static str,
}

pub(crate) const fn flag(long: &'static str, short: &'static str, help: &'static str) -> Opt {
    Opt { long, short, value: "", help }
}

pub(crate) const fn option(
    long: &'static str,
    short: &'static str,
    value: &'static str,
    help: &'static str,
) -> Opt {
    Opt { long, short, value, help }
}

/// Options of every verb.
pub(crate) const GLOBAL: &[Opt] = &[
    option("root", "", "DIR", "where containers are kept (default /run/orun)"),
    option("log", "", "FILE", "append errors and warnings to FILE too"),
    option("log-format", "", "FORMAT", "text (default) or json"),
    flag("debug", "", "accepted for callers; nothing more is said"),
    flag("systemd-cgroup", "", "refused: orun has no systemd driver yet"),
    option("rootless", "", "MODE", "true, false or auto; found out by itself"),
    option("criu", "", "FILE", "accepted for callers; orun does no checkpoints"),
    flag("help", "h", "show this help"),
    flag("version", "v", "show the version"),
];

/// What a verb takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Verb {
    pub(crate) name: &'static str,
    /// Words after the options, for help.
    pub(crate) operands: &'static str,
    pub(crate) help: &'static str,
    pub(crate) options: &'static [Opt],
    /// Everything after the first operand and its options is the user's.
    pub(crate) trailing: bool,
}

/// A command line that makes no sense.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UsageError(pub(crate) String);

/// A command line taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Parsed {
    options: Vec<(&'static str, String)>,
    /// Words that are no options, the verb apart.
    pub(crate) operands: Vec<String>,
}

impl Parsed {
    /// The value of an option; the last one counts.
    pub(crate) fn value(&self, long: &str) -> Option<&str> {
        self.options.iter().rev().find(|(name, _)| *name == long).map(|(_, value)| value.as_str())
    }

    /// All values of an option.
    pub(crate) fn values<'a>(&'a self, long: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        self.options.iter().filter(move |(name, _)| *name == long).map(|(_, value)| value.as_str())
    }

    /// True if a flag is set.
    pub(crate) fn has(&self, long: &str) -> bool {
        self.value(long).is_some_and(|v| v != "false")
    }

    /// A number.
    pub(crate) fn number(&self, long: &str) -> Result<u32, UsageError> {
        let parse = |v: &str| v.parse().map_err(|_| UsageError(format!("--{long}: {v:?} is not a number")));
        self.value(long).map_or(Ok(0), parse)
    }

    /// The one operand that must be there.
    pub(crate) fn id(&self) -> Result<&str, UsageError> {
        match &self.operands[..] {
            [id] => Ok(id),
            [] => Err(UsageError("the container's id is missing".to_owned())),
            [_, extra, ..] => Err(UsageError(format!("unexpected word {extra:?}"))),
        }
    }
}

/// Takes the words after the program's name apart.
pub(crate) fn parse(
    words: impl IntoIterator<Item = String>,
    verbs: &'static [Verb],
) -> Result<(Option<&'static Verb>, Parsed), UsageError> {
    let mut words = words.into_iter().peekable();
    let mut parsed = Parsed::default();
    let mut verb: Option<&'static Verb> = None;
    while let Some(word) = words.next() {
        let is_option = word.len() > 1 && word.starts_with('-');
        if word == "--" {
            parsed.operands.extend(words.by_ref());
        } else if let Some(long) = word.strip_prefix("--").filter(|_| is_option) {
            let (name, value) = long.split_once('=').map_or((long, None), |(n, v)| (n, Some(v.to_owned())));
            let opt = find(verb, |o| o.long == name).ok_or_else(|| unknown(&word, verb))?;
            push(&mut parsed, opt, value, &mut words)?;
        } else if is_option {
            short(&word, verb, &mut parsed, &mut words)?;
        } else if verb.is_none() {
            verb =
                Some(verbs.iter().find(|v| v.name == word).ok_or_else(|| {
                    UsageError(format!("unknown command {word:?}; `orun --help` lists them"))
                })?);
        } else {
            let first = parsed.operands.is_empty();
            parsed.operands.push(word);
            if verb.is_some_and(|v| v.trailing) && !first {
                parsed.operands.extend(words.by_ref());
            }
        }
    }
    Ok((verb, parsed))
}

/// `-it`, `-u 0`, `-u0`.
fn short(
    word: &str,
    verb: Option<&'static Verb>,
    parsed: &mut Parsed,
    words: &mut impl Iterator<Item = String>,
) -> Result<(), UsageError> {
    let letters = &word[1..];
    for (i, letter) in letters.char_indices() {
        let opt = find(verb, |o| o.short.starts_with(letter)).ok_or_else(|| unknown(word, verb))?;
        if opt.value.is_empty() {
            parsed.options.push((opt.long, String::new()));
            continue;
        }
        let rest = &letters[i + letter.len_utf8()..];
        let attached = (!rest.is_empty()).then(|| rest.strip_prefix('=').unwrap_or(rest).to_owned());
        return push(parsed, opt, attached, words);
    }
    Ok(())
}

fn push(
    parsed: &mut Parsed,
    opt: Opt,
    value: Option<String>,
    words: &mut impl Iterator<Item = String>,
) -> Result<(), UsageError> {
    let value = match value {
        Some(value) => value,
        None if opt.value.is_empty() => String::new(),
        None => {
            words.next().ok_or_else(|| UsageError(format!("--{} needs a value ({})", opt.long, opt.value)))?
        }
    };
    parsed.options.push((opt.long, value));
    Ok(())
}

fn find(verb: Option<&'static Verb>, wanted: impl Fn(&Opt) -> bool) -> Option<Opt> {
    verb.map_or(&[][..], |v| v.options).iter().chain(GLOBAL).find(|o| wanted(o)).copied()
}

fn unknown(word: &str, verb: Option<&'static Verb>) -> UsageError {
    let of = verb.map_or(String::new(), |v| format!(" {}", v.name));
    UsageError(format!("unknown option {word}; `orun{of} --help` lists them"))
}

/// Help of a verb, or of the program.
pub(crate) fn help(verb: Option<&Verb>, verbs: &[Verb]) -> String {
    let mut text = match verb {
        Some(v) => format!("{}\n\nUsage: orun {} [OPTIONS] {}\n", v.help, v.name, v.operands),
        None => "An OCI runtime with runc's command line.\n\nUsage: orun [OPTIONS] COMMAND …\n\nCommands:\n"
            .to_owned(),
    };
    if verb.is_none() {
        for v in verbs {
            text.push_str(&format!("  {:<9} {}\n", v.name, v.help));
        }
    }
    let own = verb.map_or(&[][..], |v| v.options);
    for (title, options) in [("Options", own), ("Global options", GLOBAL)] {
        if options.is_empty() {
            continue;
        }
        text.push_str(&format!("\n{title}:\n"));
        for o in options {
            let short = if o.short.is_empty() { "    ".to_owned() } else { format!("-{}, ", o.short) };
            let value = if o.value.is_empty() { String::new() } else { format!(" {}", o.value) };
            text.push_str(&format!("  {short}{:<24} {}\n", format!("--{}{value}", o.long), o.help));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verbs::VERBS;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn options_anywhere() {
        for line in [
            "--root /r create --bundle /b --pid-file=/p box",
            "create box --bundle /b --root=/r --pid-file /p",
            "create -b /b box --root /r --pid-file /p",
            "create -b=/b --root /r --pid-file /p -- box",
        ] {
            let (verb, parsed) = parse(words(line), VERBS).unwrap();
            assert_eq!(verb.unwrap().name, "create", "{line}");
            assert_eq!(parsed.value("bundle"), Some("/b"), "{line}");
            assert_eq!(parsed.value("root"), Some("/r"), "{line}");
            assert_eq!(parsed.value("pid-file"), Some("/p"), "{line}");
            assert_eq!(parsed.id(), Ok("box"), "{line}");
        }
    }

    #[test]
    fn a_program_keeps_its_words() {
        let (_, parsed) = parse(words("exec -td -u 1:2 box --env A=1 ls -l --root x -- y"), VERBS).unwrap();
        assert!(parsed.has("tty") && parsed.has("detach"));
        assert_eq!(parsed.value("user"), Some("1:2"));
        assert_eq!(parsed.values("env").collect::<Vec<_>>(), ["A=1"]);
        assert_eq!(parsed.operands, words("box ls -l --root x -- y"));
        assert_eq!(parsed.value("root"), None);
    }

    #[test]
    fn refusals() {
        for (line, part) in [
            ("creat box", "unknown command \"creat\""),
            ("create --nope box", "unknown option --nope"),
            ("create --bundle", "--bundle needs a value"),
            ("kill -x box", "unknown option -x"),
        ] {
            let UsageError(text) = parse(words(line), VERBS).unwrap_err();
            assert!(text.contains(part), "{line}: {text}");
        }
        let (_, two) = parse(words("state a b"), VERBS).unwrap();
        assert!(two.id().is_err());
    }

    #[test]
    fn help_fits_eighty_columns() {
        for verb in VERBS.iter().map(Some).chain([None]) {
            for line in help(verb, VERBS).lines() {
                assert!(line.chars().count() <= 80, "{line}");
            }
        }
    }
}
