// One binding of a scoped value, in a chain from the innermost outwards. (scoped_value.h)
#ifndef WEFT_INTERNAL_BINDING_H_
#define WEFT_INTERNAL_BINDING_H_

namespace weft::internal {

struct BindingNode {
  const void* key;    // the ScopedValue
  const void* value;  // what it is bound to
  const BindingNode* outer;
};

}  // namespace weft::internal

#endif  // WEFT_INTERNAL_BINDING_H_
