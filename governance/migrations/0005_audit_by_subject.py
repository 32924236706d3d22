from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("governance", "0004_grants")]

    operations = [
        migrations.AddIndex(
            model_name="auditentry",
            index=models.Index(fields=["workspace", "subject_id"], name="audit_by_subject"),
        ),
    ]
