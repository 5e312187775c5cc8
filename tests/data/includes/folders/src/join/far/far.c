/* The last folder. */
#include "join/far/far.h"
#include "join/near/near.h"
