//! What is wrong with the text itself.

use super::Code;

pub const ROWS: &[Code] = &[
    Code {
        id: "syntax.nesting",
        title: "brackets, blocks or operators nest too deeply",
        explanation: "Brackets, blocks, conditionals and chains of prefix operators may nest 256 deep. The limit is checked before \
                      parsing, so that every machine answers alike. Name intermediate results with `let`.",
    },
    Code {
        id: "syntax.unclosed",
        title: "a bracket, string or comment is never closed",
        explanation: "Every `(`, `[`, `{`, `\"` and `/*` needs its counterpart. The message points at the opening one; a bracket \
                      that meets the keyword of the next item at the start of a line is taken as unclosed there, so that the \
                      items after it are still read. Strings end on the line they begin on.",
    },
    Code {
        id: "syntax.unopened",
        title: "a closing bracket without an opening one",
        explanation: "A `)`, `]` or `}` stands where no bracket is open, or closes a bracket of another kind. The second place in \
                      the message is the bracket that is open there.",
    },
    Code {
        id: "syntax.expected",
        title: "something else was expected here",
        explanation: "The text up to this place is understood, and the next word or sign does not continue it. The message says \
                      what could stand there. MSL has no juxtaposition: two expressions beside each other always have an operator \
                      between them, and `2 x` is written `2*x`.",
    },
    Code {
        id: "syntax.keyword",
        title: "a keyword is used as a name",
        explanation: "Words such as `on`, `in`, `net` or `next` begin statements and cannot name values. They are allowed after a \
                      dot (`r.on`) and as argument names (`f(on=...)`). Choose another name.",
    },
    Code {
        id: "syntax.character",
        title: "a character that means nothing in MSL",
        explanation: "The character is not part of any name, number or operator. Look-alikes from word processors are the usual \
                      cause: curly quotes, the long dash for minus, a non-breaking space.",
    },
    Code {
        id: "syntax.number",
        title: "a number is not well formed",
        explanation: "Numbers are written `12`, `10_000`, `0.5`, `1e-3`. A digit stands on both sides of the point (`0.5`, not `.5`; \
                      `1.0` or `1`, not `1.`), so that ranges such as `0..1` need no spaces.",
    },
    Code {
        id: "syntax.unit",
        title: "a unit is not well formed",
        explanation: "A unit stands in square brackets after a number, a list, a parenthesis or a type: `[W/m²/K]`, `[kg*m^-1]`, `[1]`. \
                      Factors are joined by `*`, `·` or `/`, exponents are integers or fractions (`[Pa*m^1/2]`). Indexing a \
                      number is not possible, hence brackets after one are always a unit.",
    },
    Code {
        id: "syntax.chain",
        title: "an operator that does not chain",
        explanation: "Comparisons and ranges take two operands. `a < b < c` would compare a truth value with a number; write \
                      `a < b and b < c`. A range `a..b` has two ends and no step.",
    },
    Code {
        id: "syntax.doc",
        title: "a doc comment that documents nothing",
        explanation: "A comment of three slashes belongs to the item or statement after it, and appears in reports and editors. \
                      Elsewhere write an ordinary comment, with two slashes.",
    },
    Code {
        id: "syntax.item",
        title: "this does not begin an item",
        explanation: "A file is a sequence of items, each led by its keyword: `use param unit dim let fn net closure system dataset \
                      minimize study scale`. Statements such as `check` or `plot(...)` have effects and stand inside a `study`.",
    },
    Code {
        id: "syntax.statement",
        title: "this statement does not belong here",
        explanation: "Each body has its own statements. A `system` holds `unknown include let eq weak on init`; a `minimize` holds \
                      `over let loss subject stage`; a `dataset` holds `name ~ law` and `name = value`; a `study` holds `let \
                      dataset check for` and calls such as `plot(...)`; a function holds `let weight next` and ends with its \
                      result.",
    },
];
