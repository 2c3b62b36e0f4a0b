//! Rows and columns for people.
//!
//! Invariant: no cell holds anything that a terminal would obey.

/// A table under a line of headings, columns two spaces apart.
pub(super) fn table<const N: usize>(
    headings: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut lines = vec![headings.map(str::to_owned)];
    lines.extend(rows.into_iter().map(|row| row.map(|cell| plain(&cell))));
    let widths: [usize; N] =
        std::array::from_fn(|at| lines.iter().map(|line| line[at].chars().count()).max().unwrap_or(0));
    let mut text = String::new();
    for line in &lines {
        let start = text.len();
        for (cell, width) in line.iter().zip(widths) {
            text.push_str(cell);
            text.extend(std::iter::repeat_n(' ', width - cell.chars().count() + 2));
        }
        text.truncate(start + text[start..].trim_end().len());
        text.push('\n');
    }
    text
}

/// A text of somebody else's choice, with what a terminal would obey replaced.
pub(super) fn plain(text: &str) -> String {
    text.chars()
        .map(|letter| if letter.is_control() { char::REPLACEMENT_CHARACTER } else { letter })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_terminals_are_safe() {
        let rows = [["a".to_owned(), "".to_owned()], ["l\u{e9}ng\u{1b}[2J".to_owned(), "x\ny".to_owned()]];
        let expected = "NAME      VALUE\na\nl\u{e9}ng\u{fffd}[2J  x\u{fffd}y\n";
        assert_eq!(table(["NAME", "VALUE"], rows), expected);
    }
}
