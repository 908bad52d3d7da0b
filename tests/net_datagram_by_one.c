/* The same with the batches of systems that have none, linked in place of Linux'. */
#include "net_datagram.c"
