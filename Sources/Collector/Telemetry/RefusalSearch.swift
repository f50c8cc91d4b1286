import OpenStack

/// Looks for what of a batch Gnocchi does not take. It refuses a request as a whole and does not say for which metric, so
/// the halves go by themselves: at first down to the resources at fault, then within each down to its metrics. Pure: the
/// caller sends each part and says what came of it.
struct RefusalSearch {
    /// One metric of one resource.
    struct Piece {
        var resource: String
        var metric: GnocchiMeasures.Metric
    }

    private struct Part {
        var pieces: [Piece]
        /// What follows it was refused together with it.
        var isFirstHalf = false
        /// Known without asking: the first half was taken, and not both together.
        var isRefused = false
    }

    /// So many requests look for the resources at fault, and so many for the metrics within them.
    static let mostRequests = 64

    /// Not asked for yet, the last one first.
    private var parts: [Part]
    private var sent: Part?
    /// Resources that were refused alone, the last one first.
    private var suspects: [[Piece]] = []
    private var isWithinResource = false
    private var requests = 0
    /// Names of metrics that were found: of the next resource they are the first to be left out.
    private var names: Set<String> = []

    /// Pieces that were taken.
    private(set) var taken: [Piece] = []
    /// Pieces that are refused by themselves, and those of resources at fault for which no requests were left.
    private(set) var guilty: [Piece] = []

    /// - Parameter pieces: those of one resource stand together.
    init(_ pieces: [Piece]) {
        parts = pieces.isEmpty ? [] : [Part(pieces: pieces)]
    }

    /// What to send next; `wasTaken` or `wasRefused` must follow. Nil: the search is over.
    mutating func next() -> [Piece]? {
        while true {
            if let part = parts.popLast() {
                if part.isRefused {
                    split(part.pieces)
                    continue
                }
                requests += 1
                sent = part
                return part.pieces
            }
            if !isWithinResource {
                isWithinResource = true
                requests = 0
                suspects.reverse()
            }
            guard let suspect = suspects.popLast() else { return nil }
            split(suspect)
        }
    }

    /// The part was taken.
    mutating func wasTaken() {
        guard let part = sent else { return }
        sent = nil
        taken += part.pieces
        if part.isFirstHalf, !parts.isEmpty { parts[parts.count - 1].isRefused = true }
    }

    /// The part was refused.
    mutating func wasRefused() {
        guard let part = sent else { return }
        sent = nil
        split(part.pieces)
    }

    /// A part has something in it that is refused.
    private mutating func split(_ pieces: [Piece]) {
        let isOneResource = pieces.first?.resource == pieces.last?.resource
        if isOneResource, !isWithinResource {
            suspects.append(pieces)
        } else if pieces.count == 1 {
            guilty += pieces
            names.insert(pieces[0].metric.name)
        } else if requests >= Self.mostRequests {
            // Of several resources those at fault are found the next time.
            if isOneResource { guilty += pieces }
        } else {
            let (first, second) = halves(pieces, isOneResource)
            parts.append(Part(pieces: second))
            parts.append(Part(pieces: first, isFirstHalf: true))
        }
    }

    private func halves(_ pieces: [Piece], _ isOneResource: Bool) -> (first: [Piece], second: [Piece]) {
        if isOneResource {
            let named = pieces.filter { names.contains($0.metric.name) }
            if !named.isEmpty, named.count < pieces.count {
                return (pieces.filter { !names.contains($0.metric.name) }, named)
            }
        }
        var middle = pieces.count / 2
        if !isOneResource {
            // Between two resources.
            let resource = pieces[middle].resource
            let start = pieces.firstIndex { $0.resource == resource } ?? middle
            middle = start > 0 ? start : pieces.firstIndex { $0.resource != resource } ?? middle
        }
        return (Array(pieces[..<middle]), Array(pieces[middle...]))
    }
}
