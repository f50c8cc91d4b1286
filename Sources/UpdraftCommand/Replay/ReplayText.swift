import Decider
import FoundationEssentials
import Support

/// The outcome of a replay for people and programs. Pure.
enum ReplayText {
    static func json(_ result: ReplayCommand.Result) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(result)).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
    }

    static func text(_ result: ReplayCommand.Result, steps: Int) -> String {
        let base = result.base.report
        let changed = result.changed.report
        var lines = [
            "recording  cluster \(result.cluster), \(result.from) to \(result.to) (\(result.to - result.from)), "
                + "\(result.messages) messages",
            "assumed    new nodes take \(seconds(result.provisionSeconds))\(measured(result.provisionMeasured)), removals "
                + "\(seconds(result.removalSeconds))\(measured(result.removalMeasured))",
            "base       \(result.base.name)", "changed    \(result.changed.name)",
        ]
        if result.podScalersNotPlayed > 0 {
            let many = result.podScalersNotPlayed == 1 ? "1 pod scaler" : "\(result.podScalersNotPlayed) pod scalers"
            lines.append("not played \(many): replicas come and go as recorded, whatever the rules of scalers say now")
        }
        lines += [
            "", row("", "base", "changed", "difference"),
            row("node-hours", base.nodeHours, changed.nodeHours),
        ]
        for group in Set(base.groups.keys).union(changed.groups.keys).sorted() {
            lines.append(
                row("  \(group)", base.groups[group]?.nodeHours ?? 0, changed.groups[group]?.nodeHours ?? 0))
        }
        lines += [
            row("peak nodes", base.peak, changed.peak), row("scale-ups", base.scaleUps, changed.scaleUps),
            row("nodes added", base.nodesAdded, changed.nodesAdded),
            row("nodes removed", base.nodesRemoved, changed.nodesRemoved),
            row("removals taken back", base.removalsCancelled, changed.removalsCancelled),
            row("pods evicted", base.evictions, changed.evictions),
            row("pods that waited", base.podsWaited, changed.podsWaited),
            row("  together (s)", base.waited.inSeconds, changed.waited.inSeconds),
            row("  the longest (s)", base.longestWait.inSeconds, changed.longestWait.inSeconds),
            row("  still, at the end", base.waitingAtEnd, changed.waitingAtEnd), "",
            "over time: nodes (waiting pods)",
        ]
        lines += course(result, steps: steps)
        lines += decisions("base", base, from: result.from) + decisions("changed", changed, from: result.from)
        return lines.joined(separator: "\n")
    }

    private static func course(_ result: ReplayCommand.Result, steps: Int) -> [String] {
        let length = result.to - result.from
        return (0...steps).map { step in
            let at = result.from + Interval(microseconds: length.microseconds / Int64(steps) * Int64(step))
            func cell(_ report: ReplayReport) -> String {
                report.point(at: at).map { "\($0.nodes) (\($0.pending))" } ?? "-"
            }
            let difference =
                (result.changed.report.point(at: at)?.nodes ?? 0) - (result.base.report.point(at: at)?.nodes ?? 0)
            return row(
                "  +\(seconds((at - result.from).inSeconds))", cell(result.base.report),
                cell(result.changed.report), signed(difference))
        }
    }

    private static func decisions(_ name: String, _ report: ReplayReport, from: Timestamp) -> [String] {
        let shown = report.decisions.prefix(100).map { "  +\(seconds(($0.at - from).inSeconds))  \($0.what)" }
        let more = report.decisions.count - shown.count
        return ["", "decisions, \(name): \(report.decisions.count)"] + shown
            + (more > 0 ? ["  and \(more) more (--json lists them)"] : [])
    }

    private static func measured(_ isMeasured: Bool) -> String { isMeasured ? " (measured)" : "" }

    private static func seconds(_ value: Double) -> String {
        value < 600 ? "\(number(value)) s" : "\(number(value / 60)) min"
    }

    private static func row(_ name: String, _ base: Int, _ changed: Int) -> String {
        row(name, "\(base)", "\(changed)", signed(changed - base))
    }

    private static func row(_ name: String, _ base: Double, _ changed: Double) -> String {
        let difference = changed - base
        let share = base > 0 ? " (\(signed(Int((difference / base * 100).rounded())))%)" : ""
        let text = number(difference)
        return row(name, number(base), number(changed), (difference > 0 && text != "0" ? "+" : "") + text + share)
    }

    private static func signed(_ value: Int) -> String { value > 0 ? "+\(value)" : "\(value)" }

    /// At most two digits behind the point.
    static func number(_ value: Double) -> String {
        let hundredths = Int((value * 100).rounded())
        let whole = abs(hundredths) / 100
        let rest = abs(hundredths) % 100
        var text = "\(hundredths < 0 ? "-" : "")\(whole)"
        if rest > 0 { text += rest % 10 == 0 ? ".\(rest / 10)" : rest < 10 ? ".0\(rest)" : ".\(rest)" }
        return text
    }

    private static func row(_ name: String, _ base: String, _ changed: String, _ difference: String) -> String {
        func padded(_ text: String, _ width: Int) -> String {
            text.count >= width ? text : text + String(repeating: " ", count: width - text.count)
        }
        return padded(name, 22) + padded(base, 14) + padded(changed, 14) + difference
    }
}
