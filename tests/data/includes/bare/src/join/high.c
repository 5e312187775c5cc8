/* The last stage. */
#include "high.h"
