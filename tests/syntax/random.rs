//! Random programs: every form of the grammar, with white space and comments anywhere they may stand.

/// Marsaglia's xorshift64*: the same cases on every machine.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % n
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

/// The text of a program, and the comments put into it.
pub struct Writer {
    random: Random,
    pub text: String,
    pub comments: Vec<String>,
    /// One gap in so many holds a comment; 0 for none.
    rate: usize,
}

impl Writer {
    pub fn program(seed: u64, rate: usize) -> Writer {
        let mut w = Writer { random: Random(seed), text: String::new(), comments: vec![], rate };
        for _ in 0..1 + w.random.below(4) {
            w.item();
            w.gap();
        }
        w
    }

    /// White space, perhaps with a comment.
    fn gap(&mut self) {
        let space = self.random.pick(&[" ", "  ", "\n", "\n\n\n", " \n  ", "\t"]);
        self.text.push_str(space);
        if self.rate > 0 && self.random.below(self.rate) == 0 {
            let n = self.comments.len();
            let (comment, after) = match self.random.below(4) {
                0 => (format!("/* c{n} */"), " "),
                1 => (format!("/* c{n}\n   two */"), "\n"),
                _ => (format!("// c{n}"), "\n"),
            };
            self.text.push_str(&comment);
            self.text.push_str(after);
            self.comments.push(comment);
            self.gap();
        }
    }

    /// Words and signs with gaps between.
    fn words(&mut self, words: &[&str]) {
        for w in words {
            self.text.push_str(w);
            self.gap();
        }
    }

    fn chance(&mut self, one_in: usize) -> bool {
        self.random.below(one_in) == 0
    }

    fn name(&mut self) -> &'static str {
        self.random.pick(&["a", "bc", "Ω", "u₀", "k_eff", "x′", "σ", "innerly", "form", "e\u{301}"])
    }

    fn named(&mut self) {
        let name = self.name();
        self.words(&[name]);
    }

    fn doc(&mut self) {
        while self.chance(6) {
            self.text.push_str("\n/// Words of a doc.\n");
        }
    }

    fn times(&mut self, most: usize, mut f: impl FnMut(&mut Writer)) {
        for _ in 0..self.random.below(most + 1) {
            f(self);
        }
    }

    /// One or more, with commas.
    fn list(&mut self, most: usize, f: impl Fn(&mut Writer)) {
        for i in 0..1 + self.random.below(most) {
            if i > 0 {
                self.words(&[","]);
            }
            f(self);
        }
    }

    fn item(&mut self) {
        self.doc();
        match self.random.below(13) {
            0 => self.words(&["use", "std.a", ".", "{", "x", ",", "y", "}"]),
            1 => {
                self.words(&["param"]);
                self.defined();
                self.bounds();
            }
            2 => {
                self.words(&["unit"]);
                self.named();
                self.words(&["="]);
                self.expr(2);
            }
            3 => {
                self.words(&["dim"]);
                self.named();
            }
            4 | 5 => self.let_(),
            6 => {
                self.words(&["fn"]);
                self.named();
                self.params();
                if self.chance(2) {
                    self.words(&["->"]);
                    self.ty();
                }
                self.block();
            }
            7 => {
                self.words(&["net"]);
                self.named();
                self.params();
                self.params();
                self.words(&["->"]);
                self.ty();
                self.block();
            }
            8 => {
                self.words(&["closure"]);
                self.named();
                self.params();
                self.words(&["->"]);
                self.ty();
                if self.chance(2) {
                    self.words(&["{", "ensure"]);
                    self.expr(2);
                    self.words(&["}"]);
                }
            }
            9 => {
                self.words(&["system"]);
                self.named();
                self.params();
                self.words(&["{"]);
                self.times(4, Writer::system_stmt);
                self.words(&["}"]);
            }
            10 => self.dataset(),
            11 => {
                self.words(&["minimize"]);
                self.named();
                if self.chance(2) {
                    self.params();
                }
                self.words(&["{"]);
                self.times(4, Writer::min_stmt);
                self.words(&["}"]);
            }
            _ => {
                self.words(&["study"]);
                self.named();
                self.words(&["{"]);
                self.times(4, |w| w.study_stmt(2));
                self.words(&["}"]);
            }
        }
    }

    fn let_(&mut self) {
        self.words(&["let"]);
        self.defined();
    }

    fn defined(&mut self) {
        self.named();
        if self.chance(3) {
            self.words(&[":"]);
            self.ty();
        }
        self.words(&["="]);
        self.expr(4);
    }

    fn bounds(&mut self) {
        if self.chance(3) {
            self.words(&["in"]);
            self.expr(1);
        }
    }

    fn dataset(&mut self) {
        self.words(&["dataset"]);
        self.named();
        self.params();
        self.words(&["{"]);
        self.times(3, |w| {
            w.doc();
            w.named();
            let sign = w.random.pick(&["~", "="]);
            w.words(&[sign]);
            w.expr(3);
        });
        self.words(&["}"]);
    }

    fn system_stmt(&mut self) {
        self.doc();
        match self.random.below(6) {
            0 => {
                self.words(&["unknown"]);
                self.named();
                self.words(&[":"]);
                self.ty();
                if self.chance(2) {
                    self.words(&["~"]);
                    self.expr(1);
                }
            }
            1 => {
                self.words(&["include", "A.b"]);
                self.trim_line();
                self.args(2);
            }
            2 => self.let_(),
            3 => {
                self.words(&["eq", "e", ":"]);
                self.equation();
            }
            4 => {
                self.words(&["on", "Ω.left", ",", "Ω.in", ":"]);
                self.equation();
            }
            _ => {
                self.words(&["init"]);
                self.equation();
            }
        }
    }

    fn min_stmt(&mut self) {
        self.doc();
        match self.random.below(5) {
            0 => {
                self.words(&["over"]);
                self.defined();
                self.bounds();
            }
            1 => self.let_(),
            2 => {
                self.words(&["loss", "l"]);
                if self.chance(2) {
                    self.params();
                }
                self.words(&["="]);
                self.expr(3);
            }
            3 => {
                self.words(&["subject", "s", ":"]);
                self.expr(2);
            }
            _ => {
                self.words(&["stage"]);
                self.expr(2);
            }
        }
    }

    fn study_stmt(&mut self, depth: usize) {
        self.doc();
        match self.random.below(5) {
            0 => self.let_(),
            1 => {
                self.words(&["check"]);
                self.expr(3);
            }
            2 if depth > 0 => {
                self.words(&["for", "i", "in"]);
                self.expr(1);
                self.words(&["{"]);
                self.times(3, |w| w.study_stmt(depth - 1));
                self.words(&["}"]);
            }
            3 if depth == 2 => self.dataset(),
            _ => {
                self.text.push_str("plot");
                self.args(3);
            }
        }
    }

    fn equation(&mut self) {
        self.expr(3);
        self.words(&["="]);
        self.expr(3);
    }

    fn params(&mut self) {
        self.trim_line();
        self.words(&["("]);
        if self.chance(4) {
            self.words(&[")"]);
            return;
        }
        self.list(3, |w| {
            if w.chance(5) {
                w.words(&["state"]);
            }
            w.named();
            if w.chance(2) {
                w.words(&[":"]);
                w.ty();
            }
            if w.chance(4) {
                w.words(&["="]);
                w.expr(1);
            }
        });
        if self.chance(4) {
            self.words(&[","]);
        }
        self.words(&[")"]);
    }

    fn ty(&mut self) {
        let ty =
            self.random.pick(&["[K]", "Real[W/m²/K]", "Field(Ω, Vec(2))[m]", "Sym(2)", "Burgers.u", "[ kg * m^-1/2 ]"]);
        self.words(&[ty]);
    }

    fn block(&mut self) {
        self.words(&["{"]);
        self.times(3, |w| match w.random.below(3) {
            0 => w.let_(),
            1 => {
                w.words(&["weight", "W", ":"]);
                w.ty();
                w.words(&["="]);
                w.expr(1);
            }
            _ => {
                w.words(&["next", "p", "="]);
                w.expr(2);
            }
        });
        // A result that begins with a sign would be read as the end of the statement before it.
        self.text.push('r');
        self.gap();
        if self.chance(2) {
            self.words(&["+"]);
            self.expr(2);
        }
        self.words(&["}"]);
    }

    /// A call stands on the line of its callee: no gap before its parenthesis.
    fn trim_line(&mut self) {
        let last_comment = self.text.rfind("*/").map_or(0, |i| i + 2).max(self.text.rfind('\n').unwrap_or(0));
        let end = self.text.trim_end_matches([' ', '\t', '\n']).len();
        if end > last_comment {
            self.text.truncate(end);
        }
    }

    fn args(&mut self, depth: usize) {
        self.words(&["("]);
        if self.chance(5) {
            self.text.push(')');
            return;
        }
        self.list(4, |w| {
            if w.chance(4) {
                let name = w.random.pick(&["n", "in", "scale"]);
                w.words(&[name, "="]);
            }
            w.expr(depth.saturating_sub(1));
            if w.chance(8) {
                w.words(&["for", "i", "in"]);
                w.expr(0);
            }
        });
        if self.chance(5) {
            self.words(&[","]);
        }
        self.text.push(')');
    }

    fn unit(&mut self) {
        if self.chance(4) {
            let unit = self.random.pick(&[" [m]", "[W/m²/K]", "  [ kg * m ]", " [%]", " [(kg*m)^2]"]);
            self.text.push_str(unit);
        }
    }

    /// Comparisons and ranges are bracketed: they do not chain.
    fn expr(&mut self, depth: usize) {
        // Long texts end soon: bodies of functions would nest without end.
        let depth = if self.text.len() > 2000 { 0 } else { depth };
        for i in 0..1 + self.random.below(3) {
            if i > 0 {
                let op = self.random.pick(&["+", "-", "*", "/", "·", "⋅", "@", "::", "^", "and", "or", "|>", "×", "⊗"]);
                self.words(&[op]);
            }
            if self.chance(5) {
                let op = self.random.pick(&["-", "∇", "∇·", "∇²", "∇×", "∂x", "∂tt", "√", "not"]);
                self.words(&[op]);
            }
            self.operand(depth);
            if self.chance(10) {
                let sup = self.random.pick(&["²", "⁻¹", "ᵀ"]);
                self.text.push_str(sup);
            }
            self.gap();
        }
    }

    fn operand(&mut self, depth: usize) {
        if depth == 0 {
            match self.random.below(3) {
                0 => {
                    let number = self.random.pick(&["1", "0.25", "1e-3", "10_000", "2.5E+7"]);
                    self.text.push_str(number);
                    self.unit();
                }
                1 => self.text.push_str("\"a // b\""),
                _ => {
                    let name = self.name();
                    self.text.push_str(name);
                }
            }
            return;
        }
        match self.random.below(10) {
            0 | 1 => {
                let name = self.name();
                self.text.push_str(name);
                for _ in 0..1 + self.random.below(3) {
                    match self.random.below(3) {
                        0 => self.args(depth),
                        1 => {
                            self.words(&["["]);
                            self.list(2, |w| w.expr(0));
                            self.text.push(']');
                        }
                        _ => self.text.push_str(".on"),
                    }
                }
            }
            2 => {
                self.words(&["("]);
                self.expr(depth - 1);
                let op = self.random.pick(&["..", "<", "<=", "≤", "==", "!=", ">"]);
                self.words(&[op]);
                self.expr(0);
                self.text.push(')');
                self.unit();
            }
            3 => {
                self.words(&["("]);
                self.list(2, |w| w.expr(depth - 1));
                self.text.push(')');
                self.unit();
            }
            4 => {
                self.words(&["["]);
                self.list(12, |w| w.expr(depth - 1));
                self.text.push(']');
                self.unit();
            }
            5 => {
                self.words(&["["]);
                self.expr(depth - 1);
                self.words(&["for", "i", "in"]);
                self.expr(0);
                self.text.push(']');
            }
            6 => {
                self.words(&["(", "if"]);
                self.expr(depth - 1);
                self.words(&["then"]);
                self.expr(depth - 1);
                self.words(&["else"]);
                self.expr(depth - 1);
                self.text.push(')');
            }
            7 => {
                self.text.push_str("fn");
                self.params();
                self.block();
            }
            8 => {
                self.words(&["∫", "("]);
                self.expr(depth - 1);
                self.words(&[",", "Ω", ")"]);
            }
            _ => self.operand(0),
        }
    }
}
