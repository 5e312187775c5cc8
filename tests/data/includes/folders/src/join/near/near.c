/* The first folder. */
#include "core/low.h"
#include "join/far/far.h"
#include "join/high.h"
#include "join/near/near.h"
