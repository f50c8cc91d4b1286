#include "updraft_amqp.h"

#include <amqp.h>

void updraft_amqp_login(void *state, const char *virtual_host, int channel_max, int frame_max, int heartbeat,
                        const void *properties, const char *user, const char *password, void *reply) {
    amqp_rpc_reply_t *result = reply;
    *result = amqp_login_with_properties((amqp_connection_state_t)state, virtual_host, channel_max, frame_max,
                                         heartbeat, (const amqp_table_t *)properties, AMQP_SASL_METHOD_PLAIN, user,
                                         password);
}
