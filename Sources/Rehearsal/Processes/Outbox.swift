import Messages
import Support

/// What leaves in the order of the services' own outbox: an event is with the broker before the act that follows it is done,
/// and steps of the removals of different nodes are under way at once.
final class Outbox {
    private enum Item {
        case publish(Event)
        case then(() -> Void)
    }

    private unowned let process: Process
    private var order = LaneOrder<Item>()

    init(_ process: Process) {
        self.process = process
    }

    func publish(_ event: Event) {
        order.add(.publish(event), event.nodeUnderRemoval.map { .lane($0) } ?? .alone)
        send()
    }

    func then(_ act: @escaping () -> Void) {
        order.add(.then(act), .after)
        send()
    }

    private func send() {
        while let turn = order.next() {
            switch turn.item {
            case .then(let act):
                act()
                order.finished(turn)
            case .publish(let event):
                process.world.publish(event, from: process) { _ in
                    self.order.finished(turn)
                    self.send()
                }
            }
        }
    }
}
