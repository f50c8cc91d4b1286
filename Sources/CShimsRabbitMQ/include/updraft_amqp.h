#ifndef UPDRAFT_AMQP_H
#define UPDRAFT_AMQP_H
// amqp_login_with_properties is variadic and Swift imports no variadic functions. PLAIN login. The types
// are opaque here because amqp.h belongs to another Clang module: `state` is an amqp_connection_state_t, `properties` an
// amqp_table_t *, `reply` an amqp_rpc_reply_t * to be filled in.
void updraft_amqp_login(void *state, const char *virtual_host, int channel_max, int frame_max, int heartbeat,
                        const void *properties, const char *user, const char *password, void *reply);
#endif
