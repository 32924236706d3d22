"""Files of runs: what a checkpoint's workspace held, and what a tree of runs' holds now."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("agents", "0002_storage"), ("governance", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="checkpoint",
            name="workspace_digest",
            field=models.CharField(blank=True, default="", max_length=64),
        ),
        migrations.CreateModel(
            name="WorkspaceHead",
            fields=[
                ("root_id", models.UUIDField(primary_key=True, serialize=False)),
                ("digest", models.CharField(max_length=64)),
                ("updated_at", models.DateTimeField()),
                (
                    "workspace",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="governance.workspace",
                    ),
                ),
            ],
        ),
    ]
