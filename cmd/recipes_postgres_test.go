package cmd_test

func recipeBackfill(k *recipeBox) {
	k.left = nil
}
