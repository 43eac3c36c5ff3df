//! Units and dimensions.

use super::Code;

pub const ROWS: &[Code] = &[
    Code {
        id: "units.unknown",
        title: "there is no such unit",
        explanation: "Known are the SI units with their prefixes, the units accepted with them (min, h, d, L, t, bar, eV, \
                      deg, %, …), those of std.units, and the `unit`s of the program. Case matters: mPa is not MPa.",
    },
    Code {
        id: "units.mismatch",
        title: "quantities of different dimensions meet",
        explanation: "Added, compared, assigned or passed quantities must have one dimension; factors of the unit (mm \
                      against m) are converted silently. The message names the factor that is missing. Dimensions are \
                      inferred inside bodies and declared at the boundaries of fn, closure, system and net. Derivatives \
                      divide by the dimension of the domain’s coordinates, integrals multiply by it.",
    },
    Code {
        id: "units.exponent",
        title: "a power that has no dimension",
        explanation: "A quantity with a unit can only be raised to an exponent that is known before the run, since the \
                      unit of the result depends on it; and an exponent has no unit itself. Divide by a typical size \
                      first.",
    },
    Code {
        id: "units.offset",
        title: "degrees Celsius in a product or a type",
        explanation: "20 [degC] is a point on a scale with its own zero. Such a unit stands alone, on a number or a list \
                      of numbers. Differences, products, rates and types are in [K].",
    },
    Code {
        id: "units.misplaced",
        title: "a unit where none can stand",
        explanation: "Whole numbers, truth values, texts, domains and closures carry no unit.",
    },
    Code {
        id: "units.twice",
        title: "a unit on something that has one",
        explanation: "`(a + b) [m]` gives a unit to a plain number. If a and b are lengths already, nothing is to be \
                      added.",
    },
    Code {
        id: "units.definition",
        title: "a unit that is not a number of other units",
        explanation: "`unit kcal = 4184 [J]` defines a unit by a constant product. A unit with a dimension of its own is \
                      `dim Currency`.",
    },
    Code {
        id: "units.redefined",
        title: "a built-in unit defined anew",
        explanation: "One name has one meaning in all programs. Give your unit another name.",
    },
    Code {
        id: "units.losses",
        title: "losses of different dimensions",
        explanation: "A stage lowers the sum of all losses, unless it names one with `on=`. Only quantities of one \
                      dimension add up: divide each loss by its typical size, or use a relative measure such as rel_l2.",
    },
];
