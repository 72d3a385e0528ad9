/*
 * embedding.cpp: tables. On the cpu a table's gradient is that of the rows that were looked up, as a sparse tensor: the whole
 * table would be written as zeros, added to what the loss says of it, and read again by the optimiser. On a device it is
 * dense: a captured graph adds to what stays where it is.
 */
#include "fused_parts.h"

#include <ATen/ops/_sparse_coo_tensor_unsafe.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/embedding_dense_backward.h>

/*
 * The table (V, C), in that type, of rows (..., C) at ids (...): those of the same id are added up in the type that they have,
 * those of id `padding` are 0.
 */
static Tensor table_of_rows(const Tensor &ids, const Tensor &rows, int64_t V, int64_t padding, at::ScalarType type)
{
	const Tensor id = ids.reshape(-1), all = rows.reshape({id.size(0), rows.size(-1)});
	const Tensor counted = padding < 0 ? all : all.masked_fill(id.eq(padding).unsqueeze(1), 0);
	const Tensor table = at::_sparse_coo_tensor_unsafe(id.unsqueeze(0), counted, {V, all.size(1)}).coalesce();
	return at::_sparse_coo_tensor_unsafe(table.indices(), table.values().to(type), table.sizes(), {}, true);
}

struct Embedding : Function<Embedding> {
	static Tensor forward(AutogradContext *ctx, const Tensor &w, const Tensor &id, int64_t padding, bool sparse)
	{
		ctx->save_for_backward({id});
		ctx->saved_data["sparse"] = sparse;
		ctx->saved_data["rows"] = w.size(0);
		ctx->saved_data["padding"] = padding;
		return at::embedding(w, id);
	}

	static variable_list backward(AutogradContext *ctx, variable_list grad)
	{
		const Tensor id = ctx->get_saved_variables()[0], g = grad[0].to(sum_type(grad[0]));
		const int64_t V = ctx->saved_data["rows"].toInt(), padding = ctx->saved_data["padding"].toInt();
		const at::ScalarType type = grad[0].scalar_type();

		const Tensor table = ctx->saved_data["sparse"].toBool()
					 ? table_of_rows(id, g, V, padding, type)
					 : at::embedding_dense_backward(g, id, V, padding, false).to(type);
		return {table, Tensor(), Tensor(), Tensor()};
	}
};

Tensor fused_embedding(const Tensor &w, const Tensor &id, int64_t padding)
{
	const bool sparse = w.is_cpu() && w.is_leaf(); /* what w may have been made by takes no sparse gradient */

	if (!sparse && w.scalar_type() != at::kBFloat16)
		return at::embedding(w, id, padding);
	return Embedding::apply(w, id, padding, sparse);
}

void fused_add_grad(Tensor &sum, const Tensor &grad)
{
	if (!grad.is_sparse()) {
		sum.add_(grad);
		return;
	}
	const Tensor table = grad.coalesce(), id = table.indices().select(0, 0);
	sum.index_copy_(0, id, sum.index_select(0, id).add(table.values()).to(sum.scalar_type()));
}
