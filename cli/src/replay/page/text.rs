//! Text from outside, in a page.

use crate::report::display::Escaped;
use std::fmt::{self, Write};

/// Text that is shown as it is: no markup, no control characters, in its own order.
pub struct Text<'a>(pub &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Escaped(self.0).to_string().chars().try_for_each(|character| match character {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            other => f.write_char(other),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_is_no_markup() {
        let shown = Text("<b a='x' c=\"y\">&\u{202e}\n").to_string();
        assert_eq!(shown, "&lt;b a=&#39;x&#39; c=&quot;y&quot;&gt;&amp;\\u{202e}\\n");
    }
}
