//! What people read about settings: the reference, the sample file and what is in effect.
//!
//! Invariant: made from the table of keys alone; a test compares the two files of `docs/` with what is made here.
//! Not here: the words themselves (`super::keys`).

use std::fmt::Write as _;

use super::keys::{SECTIONS, of_section};
use super::raw::RawConfig;

/// All settings in effect as a file of settings, each with the layer it comes from.
pub(crate) fn effective(raw: &RawConfig) -> String {
    let mut page = String::new();
    for (section, _) in SECTIONS {
        let indent = open_section(&mut page, section);
        for (name, key) in of_section(section) {
            let setting = raw.get(key.path);
            line(&mut page, format_args!("{indent}{name}: {}  # {}", scalar(&setting.text), setting.origin));
        }
    }
    page
}

/// The sample file: every setting with its default and what it does.
#[cfg(test)]
fn sample() -> String {
    let mut page = String::from(
        "# Settings of Merak, all with their defaults: write only what you change.\n\
         # Made from the program; see configuration.md.\n",
    );
    for (section, about) in SECTIONS {
        line(&mut page, format_args!("\n# {about}"));
        let indent = open_section(&mut page, section);
        for (name, key) in of_section(section) {
            for words in wrapped(key.doc, 100) {
                line(&mut page, format_args!("{indent}# {words}"));
            }
            line(&mut page, format_args!("{indent}{name}: {}", scalar(key.default)));
        }
    }
    page
}

/// The reference, in Markdown.
#[cfg(test)]
fn reference() -> String {
    let mut page = String::from(
        "# Configuration\n\n\
         Settings come from four places, each over the one before: defaults, the file given with `--config`, the\n\
         environment, flags (`--data-dir`, `--bind`, `--port-offset`). Unknown keys and unknown `MERAK_` variables\n\
         are refused. `merak check-config` reports every problem at once, `merak effective-config` prints what is\n\
         in effect and where it comes from. A change takes effect at the next start.\n\n\
         Sizes are written `64KiB`, `2MiB`; durations `50ms`, `30s`, `10m`. [merak.sample.yaml](merak.sample.yaml)\n\
         is a file with every setting. This page is made from the program: `UPDATE_GOLDEN=1 cargo test -p merak`.\n",
    );
    for (section, about) in SECTIONS {
        let title = if section.is_empty() { "At the top" } else { section };
        line(&mut page, format_args!("\n## {title}\n\n{about}\n"));
        page.push_str(
            "| Key | Default | Values | Variable | Since | What it does |\n|---|---|---|---|---|---|\n",
        );
        for (_, key) in of_section(section) {
            line(
                &mut page,
                format_args!(
                    "| `{}` | `{}` | {} | `{}` | {} | {} |",
                    key.path,
                    key.default,
                    key.form,
                    key.variable(),
                    key.since,
                    key.doc
                ),
            );
        }
    }
    page
}

/// Writes the line that opens a section, and says how far its keys stand in.
fn open_section(page: &mut String, section: &str) -> &'static str {
    if section.is_empty() {
        return "";
    }
    line(page, format_args!("{section}:"));
    "  "
}

fn line(page: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(page, "{text}").expect("a string takes all text");
}

/// A text as YAML that reads back as the same text: plain where that is safe, quoted otherwise.
fn scalar(text: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "./_-".contains(letter);
    let starts_plain =
        text.starts_with(|letter: char| letter.is_ascii_alphanumeric() || letter == '/' || letter == '.');
    if starts_plain && text.chars().all(is_plain) {
        return text.to_owned();
    }
    if text.chars().any(char::is_control) {
        return format!("{text:?}");
    }
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(last) if last.len() + 1 + word.len() <= width => {
                last.push(' ');
                last.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::keys::KEYS;
    use super::*;
    use std::path::{Path, PathBuf};

    fn is_current(name: &str, made: &str) {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, made).expect("docs can be written");
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            kept == made,
            "docs/{name} is not what the program makes: run UPDATE_GOLDEN=1 cargo test -p merak"
        );
    }

    /// The pages people read must say what the program does.
    #[test]
    fn pages_are_current() {
        is_current("configuration.md", &reference());
        is_current("merak.sample.yaml", &sample());
    }

    /// A key in a section that is not listed would be on no page.
    #[test]
    fn every_key_is_in_a_section() {
        let listed: usize = SECTIONS.iter().map(|(section, _)| of_section(section).count()).sum();
        assert_eq!(listed, KEYS.len());
    }

    /// What is printed as in effect can be given back as a file, whatever is in it.
    #[test]
    fn effective_settings_read_back() {
        for text in
            ["./data", "a b", "it's", "# no comment", "yes: no", "-", "'", "tab\there", "ünïcode", "{a}", ""]
        {
            let mut raw = RawConfig::defaults();
            raw.flag("data_dir", "--data-dir", Some(text.to_owned()));
            raw.flag("bind", "--bind", Some("::1".to_owned()));
            let mut again = RawConfig::defaults();
            again.file(Path::new("printed.yaml"), Ok(effective(&raw)));
            assert!(again.problems().is_empty(), "{text}: {:?}", again.problems());
            for key in KEYS {
                assert_eq!(again.get(key.path).text, raw.get(key.path).text, "{text}: {}", key.path);
            }
        }
    }
}
