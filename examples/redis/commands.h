// The commands: what each does with a store, and what it answers.
//
//   PING [text]  ECHO text  QUIT  COMMAND  CONFIG GET name...
//   SET key value [NX | XX] [EX seconds | PX milliseconds]  GET key  MGET key...
//   DEL key...  EXISTS key...  EXPIRE key seconds  TTL key  INCR key  DECR key  INCRBY key amount
//
// Each does to one key what it does at once. One with several keys takes them one after the other, and other clients'
// commands may come between: here Redis, which has one thread, promises more.
#ifndef WEFT_EXAMPLES_REDIS_COMMANDS_H_
#define WEFT_EXAMPLES_REDIS_COMMANDS_H_

#include "examples/redis/resp.h"
#include "examples/redis/store.h"

namespace redis {

// Appends one reply, which may be an error. Nothing for a command without arguments. False: the client wants no more
// (QUIT). Does not suspend; for virtual threads.
bool Execute(Store& store, const Arguments& arguments, Reply& reply);

}  // namespace redis

#endif  // WEFT_EXAMPLES_REDIS_COMMANDS_H_
