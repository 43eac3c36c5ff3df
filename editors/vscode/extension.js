// Messages of `mslc check` while typing, and `mslc fmt` as the formatter. Plain JavaScript without dependencies.
"use strict";
const vscode = require("vscode");
const { execFile } = require("child_process");
const path = require("path");

const SEVERITY = {
  error: vscode.DiagnosticSeverity.Error,
  warning: vscode.DiagnosticSeverity.Warning,
  advice: vscode.DiagnosticSeverity.Information,
};

/** Runs mslc on a text in the folder of its document. `done` gets what it printed, or null where mslc could not be started. */
function mslc(args, document, done) {
  const command = vscode.workspace.getConfiguration("msl").get("command", "mslc");
  const options = { cwd: path.dirname(document.fileName), maxBuffer: 1 << 26 };
  const child = execFile(command, args, options, (error, stdout, stderr) => {
    if (error && error.code === "ENOENT") {
      vscode.window.showWarningMessage(`MSL: there is no command \`${command}\`; set "msl.command" to where mslc is.`);
      done(null, "");
    } else {
      done(stdout, stderr);
    }
  });
  child.stdin.on("error", () => {});
  child.stdin.end(document.getText());
}

/** A place of mslc (lines and columns from 1, columns in characters) as one of the editor (from 0, in UTF-16 units). */
function position(document, place) {
  const line = Math.min(place.line - 1, document.lineCount - 1);
  const before = Array.from(document.lineAt(line).text).slice(0, place.column - 1);
  return new vscode.Position(line, before.join("").length);
}

/** The lines that `mslc check --json -` prints, as the editor's diagnostics. */
function diagnostics(document, printed) {
  const found = [];
  for (const line of printed.split("\n").filter((l) => l.startsWith("{"))) {
    const d = JSON.parse(line);
    if (d.kind !== "diagnostic") continue;
    // What is said of another file of the program stands at the top of this one.
    const here = d.file === "standard input";
    const start = here ? position(document, d.start) : new vscode.Position(0, 0);
    const end = here ? position(document, d.end) : start;
    const more = [d.help && `help: ${d.help}`, d.note && `note: ${d.note}`].filter(Boolean);
    const words = [here ? d.message : `${d.file}:${d.start.line}: ${d.message}`, ...more].join("\n");
    const out = new vscode.Diagnostic(new vscode.Range(start, end), words, SEVERITY[d.severity]);
    out.source = "mslc";
    out.code = d.code;
    out.relatedInformation = d.labels
      .slice(1)
      .filter((l) => l.file === "standard input" && l.text)
      .map((l) => {
        const range = new vscode.Range(position(document, l.start), position(document, l.end));
        return new vscode.DiagnosticRelatedInformation(new vscode.Location(document.uri, range), l.text);
      });
    found.push(out);
  }
  return found;
}

function activate(context) {
  const collection = vscode.languages.createDiagnosticCollection("msl");
  const waiting = new Map();
  const check = (document) => {
    if (document.languageId !== "msl" || document.uri.scheme !== "file") return;
    const version = document.version;
    mslc(["check", "--json", "-"], document, (printed) => {
      if (printed !== null && document.version === version) collection.set(document.uri, diagnostics(document, printed));
    });
  };
  const soon = (document) => {
    clearTimeout(waiting.get(document.uri.toString()));
    waiting.set(document.uri.toString(), setTimeout(() => check(document), 200));
  };
  vscode.workspace.textDocuments.forEach(check);
  context.subscriptions.push(
    collection,
    vscode.workspace.onDidOpenTextDocument(check),
    vscode.workspace.onDidSaveTextDocument(check),
    vscode.workspace.onDidChangeTextDocument((e) => soon(e.document)),
    vscode.workspace.onDidCloseTextDocument((d) => collection.delete(d.uri)),
    vscode.languages.registerDocumentFormattingEditProvider("msl", {
      provideDocumentFormattingEdits(document) {
        return new Promise((resolve) =>
          mslc(["fmt", "-"], document, (printed) => {
            // A program that cannot be read is left alone; its errors are shown by the check.
            const all = new vscode.Range(new vscode.Position(0, 0), document.lineAt(document.lineCount - 1).range.end);
            resolve(printed ? [vscode.TextEdit.replace(all, printed)] : []);
          })
        );
      },
    })
  );
}

module.exports = { activate, diagnostics };
