import AMQP
import Messages
import Support

extension Bus {
    /// How long a delivery is kept that could not be parked, before its queue gets it back.
    private static let parkingPause = Interval.seconds(1)

    /// Moves a delivery to `updraft.dead`. It is acknowledged only when it is there. False: it was given back after a pause and will
    /// come again.
    ///
    /// Something in it that cannot be sent at all costs what came with it (only that there was something, and why it is
    /// not used, is parked), never the reader: a message that comes back for ever would keep it busy for ever.
    func park(
        _ delivery: Delivery, _ routingKey: String, _ queue: String, _ reason: ParkReason, _ detail: String,
        _ received: MessageCoder.Received?
    ) async -> Bool {
        if case .refused(let refusal) = reason { observer.refused(refusal, detail) }
        let whole = Parking.message(
            delivery, routingKey: routingKey, queue: queue, reason: reason, detail: detail, received: received,
            settings: settings)
        let remains = Parking.remains(delivery, queue: queue, reason: reason, settings: settings)
        for message in [whole, remains] {
            do throws(BusError) {
                try await send(message, within: .seconds(30))
                observer.parked(reason, detail)
                delivery.ack()
                return true
            } catch {
                // At the end of the service the broker gets everything back that is unsettled.
                if error.code != .closed { observer.parkFailed(reason, error) }
                guard error.code == .message else {
                    await giveBack(delivery, after: Self.parkingPause)
                    return false
                }
            }
        }
        // The broker dead-letters it where the queue has such an exchange.
        delivery.nack(requeue: false)
        return true
    }

    /// Gives a delivery back to its queue after a pause, which ends early with the task and with the bus.
    func giveBack(_ delivery: Delivery, after pause: Interval) async {
        await rest(pause)
        delivery.nack(requeue: true)
    }
}
