/// An array in pieces of a fixed size. Growing it moves nothing, and changing an element while somebody holds a copy copies
/// one piece, not all: the state of a large cluster is tens of megabytes.
struct PiecedArray<Element: Sendable>: Sendable {
    private static var pieceSize: Int { 512 }
    private var pieces: [[Element]] = []

    /// How many there are.
    private(set) var count = 0

    subscript(index: Int) -> Element {
        get { pieces[index / Self.pieceSize][index % Self.pieceSize] }
        set { pieces[index / Self.pieceSize][index % Self.pieceSize] = newValue }
    }

    mutating func append(_ element: Element) {
        if count % Self.pieceSize == 0 {
            var piece: [Element] = []
            piece.reserveCapacity(Self.pieceSize)
            pieces.append(piece)
        }
        pieces[pieces.count - 1].append(element)
        count += 1
    }
}

extension PiecedArray: RandomAccessCollection {
    var startIndex: Int { 0 }
    var endIndex: Int { count }
}
